"""The private cluster: it listens on this machine alone, prints nothing of its own, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.core.errors import MissingExtraError
from cifar_lab.execution.ray import connect

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]

LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}
"""127.0.0.1 as /proc/net/tcp and tcp6 write it."""


def below(pid: int) -> set[int]:
    """Processes that a process has started, and those that they have."""
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        for children in Path(f"/proc/{waiting.pop()}").glob("task/*/children"):
            try:
                started = {int(child) for child in children.read_text().split()}
            except OSError:
                continue
            found |= started
            waiting += started
    return found


def listening_addresses(pids: set[int]) -> set[str]:
    """Addresses that TCP servers of these processes are bound to, in the kernel's hexadecimal."""
    sockets = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                target = str(descriptor.readlink())
            except OSError:
                continue
            sockets.add(target.removeprefix("socket:[").removesuffix("]"))
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    return {line[1].partition(":")[0] for line in lines if line[3] == "0A" and line[9] in sockets}


def test_without_an_address_a_run_is_made_on_a_private_cluster(lab: Any) -> None:
    arm = lab.file("arm", "data.batch_size=4", "epochs=500")
    with lab.start("run", arm, "--engine", "ray") as command:
        command.wait_for("epoch 2/500")
        processes = below(command.process.pid)
        assert listening_addresses(processes | {command.process.pid}) == LOOPBACK
        os.kill(command.process.pid, signal.SIGTERM)
        assert command.end() == 143
        said, output = command.said_on_stderr(), command.output
    assert [line.split(" ")[0] for line in said.splitlines()] == ["starting", "stopping", "cifar-lab:"]
    progress = [line for line in output.splitlines() if line not in said.splitlines()]
    assert "ray" not in "\n".join(progress).lower().replace("drawing", "")
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in processes):
        assert time.monotonic() < deadline, "processes are left"
        time.sleep(0.05)
    assert list(Path("/tmp").glob(f"cifar-lab-ray-{command.process.pid}-*")) == []


def test_an_address_where_nobody_listens_is_told_at_once_and_nothing_is_written(lab: Any) -> None:
    code, _, said = lab.command("run", lab.file("arm"), "--engine", "ray", "--address", "127.0.0.1:1")
    assert code == 4
    assert said.startswith("cifar-lab: --address 127.0.0.1:1: no Ray cluster answers there (ConnectionRefusedError")
    assert said.endswith("start one with `ray start --head`, or leave out --address to start one on this machine\n")
    assert lab.records() == []


def test_a_cluster_that_does_not_answer_costs_no_run_that_is_there(lab: Any) -> None:
    assert lab.command("run", lab.file("arm"))[0] == 0
    before = lab.records()
    assert before
    command = ("run", lab.file("arm"), "--force", "--engine", "ray", "--address", "127.0.0.1:1")
    assert lab.command(*command)[0] == 4
    assert lab.records() == before


def test_an_address_without_the_engine_is_a_mistake(lab: Any) -> None:
    code, output, said = lab.command("run", lab.file("arm"), "--address", "127.0.0.1:1")
    assert (code, output) == (2, "")
    assert said == "cifar-lab: --address: needs a Ray cluster; add --engine ray\n"


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (None, "--engine ray: Ray is not installed; "),
        (
            "2.53.0",
            "--engine ray: Ray 2.53.0 has known security holes, 2.54 or newer is needed; ",
        ),
    ],
)
def test_ray_must_be_there_and_new_enough(monkeypatch: pytest.MonkeyPatch, found: str | None, told: str) -> None:
    if found is None:
        monkeypatch.setattr("cifar_lab.core.extras.find_spec", lambda module: None)
    monkeypatch.setattr(connect, "version", lambda name: found)
    with pytest.raises(MissingExtraError) as caught:
        connect.Connection(None)
    assert str(caught.value).startswith(told)
    assert ".[ray]'" in str(caught.value)
