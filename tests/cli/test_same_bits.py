"""The same command gives the same bits: alone, among others, on any number of workers, and beside busy programs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .conftest import Lab

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("same bits")]

DATA = "data: {dataset: synthetic, train_size: 230, test_size: 100, val_size: 30, batch_size: 40, difficulty: 0.1}"

ARMS = {
    "own": "",
    "own_norm": "model: {name: Net1}",
    "torch": "runtime: {kernels: torch}",
    "bf16": "runtime: {precision: bf16}",
    "custom": "model: {name: 'custom.py:Custom'}",
    "large": "model: {name: ResNet18}",
}
"""One arm for each rule about threads."""

CUSTOM = """\
from torch import nn

class Custom(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(nn.Flatten(), nn.Linear(3072, 64), nn.ReLU(), nn.Linear(64, num_classes))
"""

BURN = "import time; end = time.monotonic() + 300\nwhile time.monotonic() < end: pass"

CORES = {"OMP_NUM_THREADS": "2"}


@contextmanager
def busy_programs(number: int) -> Iterator[None]:
    started = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(number)]
    try:
        yield
    finally:
        for each in started:
            each.kill()
            each.wait()


def bits(lab: Lab, results: str, seed: int = 0) -> dict[str, Any]:
    """Digests of weights, predictions and epochs of each arm's run of a seed."""
    found = {}
    for path in (lab.folder / results / "runs").glob("*/record.json"):
        record = json.loads(path.read_bytes())
        if record["seed"] == seed:
            found[record["label"]] = (record["run_id"], record["files"], record["metrics_sha256"], record["test"])
    return found


def files(lab: Lab) -> list[str]:
    lab.write("custom.py", CUSTOM)
    for name, line in ARMS.items():
        lab.write(f"{name}.yaml", f"{DATA}\noptimizer: {{lr: 0.02}}\nepochs: 2\nseeds: [0]\n{line}\n")
    return [f"{name}.yaml" for name in ARMS]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> tuple[Lab, dict[str, Any]]:
    """A lab whose arms were made one after the other."""
    lab = Lab(tmp_path_factory.mktemp("same_bits"), shared_cache)
    done = lab("run", *files(lab), "--workers", "1", "--results", "one", **CORES)
    assert done.code == 0, done.err
    return lab, bits(lab, "one")


@pytest.mark.parametrize("name", ["own", "large"])
def test_alone(name: str, undisturbed: tuple[Lab, dict[str, Any]]) -> None:
    lab, expected = undisturbed
    done = lab("run", f"{name}.yaml", "--results", f"alone_{name}", **CORES)
    assert done.code == 0, done.err
    assert bits(lab, f"alone_{name}") == {name: expected[name]}


def test_among_others_on_two_workers_beside_busy_programs(undisturbed: tuple[Lab, dict[str, Any]]) -> None:
    lab, expected = undisturbed
    with busy_programs(2):
        done = lab("run", *files(lab), "--seeds", "0,1", "--workers", "2", "--results", "others", **CORES)
    assert done.code == 0, done.err
    assert bits(lab, "others") == expected
    assert bits(lab, "others", seed=1).keys() == expected.keys()


def test_killed_before_its_first_checkpoint_and_begun_again_under_load(
    undisturbed: tuple[Lab, dict[str, Any]],
) -> None:
    lab, expected = undisturbed
    command = [sys.executable, "-m", "cifar_lab", "run", "own.yaml", "large.yaml", "--results", "again"]
    first = subprocess.Popen(command, cwd=lab.folder, env={**lab.environment, **CORES})
    while not list((lab.folder / "again" / "runs").glob("*/settings.yaml")) and first.poll() is None:
        time.sleep(0.01)
    first.kill()
    first.wait()
    with busy_programs(2):
        done = lab("run", "own.yaml", "large.yaml", "--results", "again", **CORES)
    assert done.code == 0, done.err
    assert bits(lab, "again") == {label: expected[label] for label in ("own", "large")}


def test_too_many_workers_are_cut_with_one_line(undisturbed: tuple[Lab, dict[str, Any]]) -> None:
    lab, _ = undisturbed
    done = lab("run", "own.yaml", "--seeds", "0,1", "--workers", "999", "--results", "cut")
    assert done.code == 0, done.err
    (line,) = [line for line in done.err.splitlines() if "--workers" in line]
    assert line.startswith("--workers 999 is reduced to ")
