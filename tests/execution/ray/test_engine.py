"""Runs on a real Ray cluster of two nodes: the results of one machine, whatever dies on the way."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.core.errors import EnvironmentFault, Interrupted
from cifar_lab.execution.ray import node_actor as place
from cifar_lab.execution.ray.engine import RayEngine
from cifar_lab.execution.tasks import make_tasks
from cifar_lab.execution.tracker import Policy
from cifar_lab.store.results import RunFolder, SweepFolder, find_records
from cifar_lab.training.events import Event
from cifar_lab.training.job import Job

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]

SLOW = ("data.batch_size=4", "epochs=5", "runtime.kernels=torch")
"""50 steps an epoch: there is time to strike in the middle."""

OF_THE_COURSE = {"started", "finished", "train_seconds", "notes", "label"}
"""What a record says of when and how a run was made, and not of its numbers."""


@pytest.fixture
def engine(two_nodes: Any) -> Iterator[RayEngine]:
    engine = RayEngine(two_nodes.address)
    yield engine
    engine.close()


class Heard(list[tuple[int, Event]]):
    """Events with the seeds of their runs, in order; another thread can wait for one."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def __call__(self, job: Job, event: Event) -> None:
        with self._changed:
            self.append((job.seed, event))
            self._changed.notify_all()

    def of(self, kind: str) -> list[tuple[int, Any]]:
        return [(seed, event) for seed, event in self if event.word == kind]

    def wait_for_an_epoch_of(self, seeds: set[int]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: seeds <= {seed for seed, _ in self.of("epoch")}, 60)


def jobs_of(lab: Any, results: str, seeds: Sequence[int], *overrides: str) -> list[Job]:
    settings = lab.settings("data.val_size=30", *overrides)
    return [lab.job(settings, seed=seed, results=results) for seed in seeds]


def make_here(lab: Any, jobs: Sequence[Job]) -> None:
    """What the local engine's workers do, in this process."""
    for job in jobs:
        lab.make(job)


def assert_same(ours: RunFolder, theirs: RunFolder) -> None:
    """The files and the numbers of two runs are equal, bit for bit."""
    assert ours.settings.read_bytes() == theirs.settings.read_bytes()
    assert ours.weights.read_bytes() == theirs.weights.read_bytes()
    assert ours.predictions.exists() == theirs.predictions.exists()
    if theirs.predictions.exists():
        assert ours.predictions.read_bytes() == theirs.predictions.read_bytes()
    records = [folder.read_record() for folder in (ours, theirs)]
    assert None not in records
    one, other = (record.model_dump(exclude=OF_THE_COURSE) for record in records if record is not None)
    assert one == other
    curves = [[line.model_dump(exclude={"seconds"}) for line in folder.read_metrics()] for folder in (ours, theirs)]
    assert curves[0] == curves[1] != []
    assert {path.name for path in ours.path.iterdir()} == {path.name for path in theirs.path.iterdir()}


def worker_processes() -> dict[int, int]:
    """Worker process → Ray's process that it belongs to, of the runs that are made on nodes of this machine."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            ours = b"cifar_lab.execution.local.worker" in (folder / "cmdline").read_bytes()
            if ours and b"CIFAR_LAB_SHIPPED=" in (folder / "environ").read_bytes():
                found[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):  # no process, or one that has just ended
            continue
    return found


# --- the same results -----------------------------------------------------------------------------------------------


def test_two_nodes_give_the_files_of_one_machine_and_each_fetches_the_images_once(
    lab: Any, engine: RayEngine, two_nodes: Any
) -> None:
    ours, theirs = jobs_of(lab, "ray", range(4)), jobs_of(lab, "here", range(4))
    heard = Heard()
    searched = [replace(ours[0], read_test=False), *ours[1:]]
    outcomes = engine.execute(make_tasks(searched, 0), None, heard, Policy())
    assert [outcome.status for outcome in outcomes] == ["done"] * 4
    assert [outcome.job for outcome in outcomes] == searched
    for seed in range(4):
        events = [event.word for of, event in heard if of == seed and event.word != "step"]
        assert events == ["started", "placed", "device", "epoch", "epoch", "epoch", "outcome"]
    assert lab.run_folder(ours[0]).read_record().test is None
    (outcome,) = engine.execute(make_tasks(ours[:1], 0), None, Heard(), Policy())  # it only lacks its test
    assert outcome.status == "done"
    make_here(lab, theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert_same(lab.run_folder(one), lab.run_folder(other))
    kept = sorted(path.parent.name for path in two_nodes.folder.glob("cache of */shipped/*/meta.json"))
    assert kept == [ours[0].fingerprint[:16]] * 2


def test_a_model_of_ones_own_reaches_the_node_with_the_files_beside_it(lab: Any, engine: RayEngine) -> None:
    (lab.folder / "width.py").write_text("WIDTH = 5\n")
    (lab.folder / "mine.py").write_text(
        "from torch import nn\nfrom width import WIDTH\n\n"
        "class Mine(nn.Module):\n"
        "    def __init__(self, num_classes):\n"
        "        super().__init__()\n"
        "        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3072, WIDTH), nn.Linear(WIDTH, num_classes))\n"
        "    def forward(self, images):\n"
        "        if self.training:\n"
        "            raise ArithmeticError('made on purpose')\n"
        "        return self.layers(images)\n"
    )
    (job,) = jobs_of(lab, "results", [0], f"model.name={lab.folder}/mine.py:Mine")
    (outcome,) = engine.execute(make_tasks([job], 0), None, Heard(), Policy())
    assert outcome.status == "failed"
    assert outcome.reason == f"ArithmeticError: made on purpose ({lab.folder}/mine.py:10)"
    assert outcome.traceback is not None
    assert "cifar-lab-node-" not in outcome.traceback


# --- deaths ---------------------------------------------------------------------------------------------------------


def test_processes_that_are_killed_cost_nothing_but_their_epoch(lab: Any, engine: RayEngine) -> None:
    ours, theirs = jobs_of(lab, "ray", [0, 1], *SLOW), jobs_of(lab, "here", [0, 1], *SLOW)
    heard = Heard()

    def strike() -> None:
        heard.wait_for_an_epoch_of({0, 1})
        (first, _), (_, raylets) = sorted(worker_processes().items())
        os.kill(first, signal.SIGKILL)
        os.kill(raylets, signal.SIGKILL)

    striker = threading.Thread(target=strike)
    striker.start()
    outcomes = engine.execute(make_tasks(ours, 0), None, heard, Policy())
    striker.join()
    assert [outcome.status for outcome in outcomes] == ["done"] * 2
    reasons = sorted(event.reason for _, event in heard.of("retry"))
    assert reasons[0] == "its process was killed by signal 9"
    assert reasons[1].startswith(f"node {os.uname().nodename}, or Ray's process on it, is gone")
    assert {seed for seed, _ in heard.of("resumed")} == {0, 1}
    make_here(lab, theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert_same(lab.run_folder(one), lab.run_folder(other))


SWEEP = """
base: base.yaml
search: {method: grid, seeds: [0], top: 1, confirm_seeds: [100]}
space:
  optimizer.lr: [0.05, 0.01, 0.001]
"""


def test_a_sweep_whose_node_is_lost_gives_the_records_of_one_machine(lab: Any, two_nodes: Any) -> None:
    lab.file("base", "data.val_size=30", *SLOW)
    sweep = lab.folder / "sweep.yaml"
    sweep.write_text(SWEEP)
    with lab.start(
        "sweep", sweep, "--results", "ray", "--engine", "ray", "--address", two_nodes.address, "--set",
        "runtime.threads=1",
    ) as command:  # fmt: skip
        under_way: set[str] = set()
        while len(under_way) < 2:
            under_way.add(command.wait_for("epoch ").partition(" · seed")[0])
        two_nodes.lose_second()
        command.wait_for("is gone (")
        code, said = command.end(), command.said_on_stderr()
    assert code == 0, said + command.output
    # Where the images lay on the lost node, Ray itself writes a line of how it gets them back.
    kept = [line for line in said.splitlines() if "core_worker.cc" not in line and "is gone (" not in line]
    assert kept == []
    code, _, said = lab.command("sweep", sweep, "--results", "here", "--set", "runtime.threads=1")
    assert code == 0, said
    ours, theirs = (lab.folder / name for name in ("ray", "here"))
    records = find_records(ours).records
    assert len(records) == len(find_records(theirs).records) == 5
    for record in records:
        assert_same(RunFolder(ours, record.run_id), RunFolder(theirs, record.run_id))
    plans = [SweepFolder(results, "sweep") for results in (ours, theirs)]
    assert plans[0].winners.read_bytes() == plans[1].winners.read_bytes()


def test_a_driver_that_is_stopped_or_killed_goes_on_where_it_was(lab: Any, two_nodes: Any) -> None:
    arm = lab.file("arm", "data.val_size=30", "seeds=[0,1]", "runtime.threads=1", *SLOW)
    ray = ("run", arm, "--engine", "ray", "--address", two_nodes.address)
    with lab.start(*ray) as command:
        command.wait_for("epoch 1/5")
        os.kill(command.process.pid, signal.SIGINT)
        assert command.end() == 130
        said = command.said_on_stderr()
    assert "stopping after the current epoch; press Ctrl-C again to stop immediately" in said
    assert said.endswith("run the same command again (without --force) to resume\n")
    assert "Traceback" not in said
    with lab.start(*ray) as command:
        assert "resumes after epoch" in command.wait_for("resumes after epoch")
        command.wait_for("epoch 4/5")
        command.process.kill()
        command.process.wait()
    code, output, said = lab.command(*ray)
    assert code == 0, said
    assert "resumes after epoch" in output
    records = lab.records()
    assert [record.seed for record in records] == [0, 1]
    code, _, said = lab.command("run", arm, "--results", "here")
    assert code == 0, said
    for record in records:
        assert_same(RunFolder(lab.results, record.run_id), RunFolder(lab.folder / "here", record.run_id))


# --- what a person reads --------------------------------------------------------------------------------------------


def test_a_run_that_fits_on_no_node_says_so_and_can_be_stopped(
    lab: Any, engine: RayEngine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(place, "WAITING_SECONDS", 0.5)
    (job,) = jobs_of(lab, "results", [0])
    stop = threading.Timer(2, os.kill, (os.getpid(), signal.SIGINT))
    stop.start()
    with pytest.raises(Interrupted, match=r"^stopped; 0 of 1 runs have ended"):
        engine.execute(make_tasks([replace(job, threads=8)], 0), None, Heard(), Policy())
    stop.join()
    waiting = "waiting for a node that has 8 of its cores free; the cluster has 2 nodes with 2 cores and 0 GPUs in all"
    assert waiting in capfd.readouterr().err


def test_a_node_of_other_versions_is_refused(lab: Any, engine: RayEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "versions", lambda: {"torch": "1.0"})
    with pytest.raises(EnvironmentFault, match=r"^node \S+ has torch \S+ instead of 1\.0; .* install the same"):
        engine.execute(make_tasks(jobs_of(lab, "results", [0]), 0), None, Heard(), Policy())
