"""One run from settings to record: exact resume, and the test split read once at the end."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cifar_lab import data
from cifar_lab.core.errors import DataError, Interrupted
from cifar_lab.data import cache
from cifar_lab.data.synthetic import SyntheticSource
from cifar_lab.execution.protocol import encode_job
from cifar_lab.store.results import Record, RunFolder
from cifar_lab.training import checkpoint
from cifar_lab.training import run as experiment
from cifar_lab.training.device import SUBNORMAL
from cifar_lab.training.events import EpochCompleted, Event
from cifar_lab.training.job import Job

PATIENCE_SECONDS = 120

ARMS = {
    "sgd plateau": [
        "optimizer.lr=0.02", "scheduler.name=plateau", "scheduler.patience=0", "scheduler.threshold=0.9",
        "scheduler.cooldown=1",
    ],
    "sgd patient plateau": [
        "optimizer.lr=0.02", "scheduler.name=plateau", "scheduler.patience=1", "scheduler.threshold=0.9",
        "scheduler.monitor=val_loss",
    ],
    "adam one_cycle": ["optimizer.name=adam", "scheduler.name=one_cycle"],
    "Net1": ["model.name=Net1", "optimizer.lr=0.02"],
}  # fmt: skip
"""A relative improvement of 90 % never comes, so each plateau acts as early as its patience lets it."""

AUGMENTED = ("data.flip=true", "data.crop_padding=2", "data.noise_std=0.05", "data.val_size=30")
every_arm = pytest.mark.parametrize("arm", ARMS)


@dataclass(frozen=True)
class Result:
    """Everything that a finished run is, but times."""

    weights: bytes
    predictions: bytes
    metrics: tuple[str, ...]
    record: str


def result_of(folder: RunFolder) -> Result:
    record = folder.read_record()
    assert record is not None
    metrics = tuple(line.model_dump_json(exclude={"seconds"}) for line in folder.read_metrics())
    kept = record.model_dump_json(exclude={"train_seconds", "started", "finished", "notes", "environment"})
    return Result(folder.weights.read_bytes(), folder.predictions.read_bytes(), metrics, kept)


# --- killed and made again ------------------------------------------------------------------------------------------


@dataclass
class Runner:
    """Makes runs in child processes that wait at each event."""

    process: subprocess.Popen[str]

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the process that makes runs has ended"
        event: dict[str, Any] = json.loads(line)
        return event

    def _write(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def make(self, job: Job, kill_at: Callable[[dict[str, Any]], bool] = lambda event: False) -> dict[str, Any] | None:
        """Make the run; the event at which it was killed, or None if it came to its end."""
        self._write(encode_job(job) + "\n")
        killed_at = None
        while (event := self.hear())["event"] != "ended":
            if kill_at(event):
                os.kill(event["pid"], signal.SIGKILL)
                killed_at = event
            else:
                self._write("\n")
        assert event["code"] == (0 if killed_at is None else -signal.SIGKILL)
        return killed_at


@pytest.fixture(scope="module")
def runner(session_images: Path) -> Iterator[Runner]:
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(Path(__file__).with_name("fork_server.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "CIFAR_LAB_CACHE": str(session_images), "OMP_NUM_THREADS": "1"},
    )
    patience = threading.Timer(PATIENCE_SECONDS, process.kill)
    patience.start()
    with process:
        yield Runner(process)
        patience.cancel()


def at(kind: str, epoch: int) -> Callable[[dict[str, Any]], bool]:
    return lambda event: event["event"] == kind and event["epoch"] == epoch


@pytest.mark.slow
@every_arm
def test_killed_at_every_epoch_and_amid_every_epoch_it_ends_as_if_undisturbed(
    arm: str, lab: Any, runner: Runner
) -> None:
    # 161 images are 54 steps, the last of 2; the run tells of step 50.
    settings = lab.settings(*ARMS[arm], *AUGMENTED, "data.train_size=191", "data.batch_size=3")
    undisturbed = lab.job(settings, seed=3, results="undisturbed")
    assert runner.make(undisturbed) is None
    job = lab.job(settings, seed=3)
    folder = lab.run_folder(job)
    for epoch in (1, 2, 3):
        for kind in ("step", "epoch"):
            killed = runner.make(job, at(kind, epoch))
            assert killed is not None
            assert folder.read_record() is None
            state, _ = checkpoint.load_newest(folder.checkpoint)
            assert len(state["history"] if state else []) == epoch - (kind == "step")
    assert runner.make(job) is None
    assert result_of(folder) == result_of(lab.run_folder(undisturbed))
    record = folder.read_record()
    assert record is not None
    assert record.notes == ("resumed after epoch 3",)
    assert not list(folder.path.glob("checkpoint*"))


def test_killed_before_its_first_epoch_it_begins_anew(lab: Any, runner: Runner) -> None:
    job = lab.job(lab.settings())
    assert runner.make(job, lambda event: event["event"] == "device") is not None
    assert runner.make(job) is None
    lab.make(lab.job(lab.settings(), results="undisturbed"))
    assert result_of(lab.run_folder(job)) == result_of(RunFolder(lab.folder / "undisturbed", job.run_id))


@pytest.mark.slow
def test_a_command_that_is_killed_goes_on_where_it_was(lab: Any) -> None:
    settings = (*AUGMENTED, "data.batch_size=3")
    path = lab.file("augmented", *settings)
    with lab.start("run", path) as command:
        command.wait_for("epoch 1/3")
        command.process.kill()
        command.process.wait()
    code, output, _ = lab.command("run", path)
    assert code == 0
    assert "augmented · seed 0: resumes after epoch 1" in output
    (record,) = lab.records()
    assert record.notes == ("resumed after epoch 1",)
    undisturbed = lab.job(lab.settings(*settings, "label=augmented"), results="undisturbed")
    lab.make(undisturbed)
    assert result_of(RunFolder(lab.results, record.run_id)) == result_of(lab.run_folder(undisturbed))


def test_a_damaged_checkpoint_costs_an_epoch_and_a_note(lab: Any) -> None:
    job = lab.job(lab.settings())
    folder = lab.run_folder(job)
    interrupt_after(lab, job, 2)
    folder.checkpoint.write_bytes(folder.checkpoint.read_bytes()[:-100])
    record = lab.make(job)
    assert record.notes == (
        "checkpoint.bin is damaged; set aside as checkpoint.bin.damaged",
        "resumed after epoch 1",
    )
    lab.make(lab.job(lab.settings(), results="undisturbed"))
    assert result_of(folder) == result_of(RunFolder(lab.folder / "undisturbed", job.run_id))


# --- nothing in the checkpoint is idle ------------------------------------------------------------------------------


def interrupt_after(lab: Any, job: Job, epoch: int) -> None:
    """Train to the end of `epoch` and stop as a person's Ctrl-C would."""
    heard: list[int] = []

    def tell(event: Event) -> None:
        if isinstance(event, EpochCompleted):
            heard.append(event.epoch)

    with pytest.raises(Interrupted, match=f"^stopped after epoch {epoch}, whose checkpoint is kept$"):
        lab.make(job, tell, lambda: heard[-1] == epoch)


Place = tuple[str | int, ...]


def leaves(state: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every tensor, number, text and None of a state, and where it is."""
    if isinstance(state, dict | list):
        for key, value in state.items() if isinstance(state, dict) else enumerate(state):
            yield from leaves(value, (*place, key))
    else:
        yield place, state


def same(a: Any, b: Any) -> bool:
    return torch.equal(a, b) if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) else bool(a == b)


def changed(state: Any, place: Place, value: Any) -> Any:
    """A copy of `state` with `value` at `place`."""
    state = copy.deepcopy(state)
    within = state
    for key in place[:-1]:
        within = within[key]
    within[place[-1]] = value
    return state


def fresh_value(place: Place, value: Any, fresh: dict[str, Any]) -> Any:
    """What a run that saved all but this would begin with."""
    if place[0] != "cohort":
        return {"started": "2000-01-01T00:00:00Z", "threads": 2}.get(str(place[-1]), 0 if value else 1)
    within: Any = fresh
    for key in place[1:]:
        within = within[key]
    return within


def resumed(lab: Any, job: Job, state: dict[str, Any]) -> tuple[Any, ...] | None:
    """Everything that a run which goes on from `state` leaves; None if it refuses."""
    folder = lab.run_folder(job)
    folder.discard()
    checkpoint.save(folder.checkpoint, state)
    try:
        record: Record = lab.make(job)
    except (KeyError, ValueError, RuntimeError, TypeError):
        return None
    kept = [line.model_dump() for line in folder.read_metrics()[:2]]
    return result_of(folder), kept, record.started, record.notes, record.environment.threads, record.notes


@pytest.mark.slow
@every_arm
def test_every_part_of_a_checkpoint_is_needed(arm: str, lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each leaf, put back to its first value, changes what the run comes to: so resume would fail were it not saved."""
    job = lab.job(lab.settings(*ARMS[arm], *AUGMENTED, "data.train_size=100", "data.test_size=20", "epochs=4"))
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # a third of the time, and no crash to survive here
    fresh: list[dict[str, Any]] = []
    build = experiment.build_cohort

    def remember(*given: Any, **named: Any) -> Any:
        cohort, reason = build(*given, **named)
        fresh.append(copy.deepcopy(cohort.state(0)))
        return cohort, reason

    monkeypatch.setattr(experiment, "build_cohort", remember)
    interrupt_after(lab, job, 2)
    state = checkpoint.load(lab.run_folder(job).checkpoint)
    expected = resumed(lab, job, state)
    assert expected is not None
    idle, untouched = [], []
    for place, value in leaves({key: part for key, part in state.items() if key != "environment"}):
        if "strides" in place:  # the same before and after; `test_cohort_runs` needs them, where the layout changes
            continue
        start = fresh_value(place, value, fresh[0])
        if same(start, value):
            untouched.append(".".join(map(str, place)))
        elif resumed(lab, job, changed(state, place, start)) == expected:
            idle.append(".".join(map(str, place)))
    # In its cooldown a plateau looks at no number; its counters are never all away from 0 at once. The two arms with a
    # plateau between them need each part.
    plateau = "cohort.schedule.plateaus.0"
    assert idle == ([f"{plateau}.best"] if arm == "sgd plateau" else [])
    assert untouched == {
        "sgd plateau": [f"{plateau}.bad_epochs"],
        "sgd patient plateau": [f"{plateau}.lr", f"{plateau}.cooldown_left"],
    }.get(arm, [plateau])


@pytest.mark.parametrize("part", ["cohort", "history", "environment", "started"])
def test_a_checkpoint_without_a_part_is_refused(part: str, lab: Any) -> None:
    job = lab.job(lab.settings())
    interrupt_after(lab, job, 1)
    state = checkpoint.load(lab.run_folder(job).checkpoint)
    for cut in ({**state, part: {}} if part == "cohort" else None, {k: v for k, v in state.items() if k != part}):
        if cut is not None:
            assert resumed(lab, job, cut) is None


# --- the test split -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def unreadable_test_split(settings: Any) -> Iterator[None]:
    """The cache without the test split's arrays, as on a disk that lost them; put back afterwards."""
    folder = cache.folder_of(SyntheticSource(settings.data))
    names = [path for path in folder.iterdir() if path.name.startswith("test_")]
    assert len(names) == 2
    before = {path: path.read_bytes() for path in names}
    for path in names:
        path.write_bytes(bytes(len(before[path])))
    try:
        yield
    finally:
        for path, content in before.items():
            path.write_bytes(content)


@pytest.fixture
def no_mending(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that is damaged stays so: the images cannot be drawn again."""

    def gone(self: SyntheticSource, progress: Any) -> None:
        raise DataError("the source is gone")

    monkeypatch.setattr(SyntheticSource, "read", gone)


def test_the_test_split_is_not_read_before_training_has_ended(lab: Any, request: pytest.FixtureRequest) -> None:
    settings = lab.settings()
    job = lab.job(settings)
    request.getfixturevalue("no_mending")
    heard: list[Event] = []
    with unreadable_test_split(settings), pytest.raises(DataError, match=r"the source is gone$"):
        lab.make(job, heard.append)
    assert [event.epoch for event in heard if isinstance(event, EpochCompleted)] == [1, 2, 3]
    folder = lab.run_folder(job)
    assert folder.weights.is_file()
    assert not folder.predictions.exists()
    assert folder.read_record() is None
    record = lab.make(job)
    assert record.notes == ("resumed after epoch 3",)
    assert record.test is not None


@pytest.mark.parametrize("arm", ["sgd plateau", "Net1"])
def test_a_search_never_reads_the_test_split_and_is_completed_later(
    arm: str, lab: Any, request: pytest.FixtureRequest
) -> None:
    settings = lab.settings(*ARMS[arm], *AUGMENTED)
    job = lab.job(settings, read_test=False)
    request.getfixturevalue("no_mending")
    with unreadable_test_split(settings):
        searched = lab.make(job)
        assert lab.make(job) == searched
    folder = lab.run_folder(job)
    assert (searched.test, searched.test_reason) == (None, "search")
    assert searched.val is not None
    assert not folder.predictions.exists()

    completed = lab.make(replace(job, read_test=True))
    at_once = lab.job(settings, results="at once")
    lab.make(at_once)
    assert result_of(folder) == result_of(lab.run_folder(at_once))
    assert completed.test is not None
    assert completed.train_seconds == searched.train_seconds
    assert lab.make(job) == completed, "a search that meets a tested run leaves it as it is"


@pytest.mark.parametrize("kind", ["altered", "missing"])
def test_a_search_whose_weights_are_damaged_is_made_again_and_its_weights_never_tested(lab: Any, kind: str) -> None:
    job = lab.job(lab.settings(), read_test=False)
    lab.make(job)
    folder = lab.run_folder(job)
    good = folder.weights.read_bytes()
    folder.weights.unlink()
    if kind == "altered":
        folder.weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    record = lab.make(replace(job, read_test=True))
    assert record.test is not None
    assert folder.weights.read_bytes() == good
    (note,) = record.notes
    assert note == (
        "weights.safetensors was damaged; set aside as weights.safetensors.damaged, and the run trained again"
        if kind == "altered"
        else "weights.safetensors was missing or cut short, so the record was wrong; set aside as record.json.damaged, "
        "and the run trained again"
    )
    assert folder.record.with_name("record.json.damaged").is_file()


# --- records --------------------------------------------------------------------------------------------------------


def test_a_record_says_what_was_done(lab: Any) -> None:
    settings = lab.settings("data.val_size=30", "label=arm", "optimizer.name=adam")
    record = lab.make(lab.job(settings, seed=7))
    info = data.prepare(settings.data)
    assert (record.label, record.seed, record.status, record.reason) == ("arm", 7, "done", None)
    assert (record.epochs_trained, record.parameters, record.notes) == (3, 62_006, ())
    assert (record.data.train_size, record.data.val_size, record.data.test_size) == (200, 30, 110)
    assert record.data.fingerprint == info.fingerprint
    assert record.val is not None
    assert record.test is not None
    assert sum(map(sum, record.val.confusion)) == 30
    assert sum(map(sum, record.test.confusion)) == 110
    assert sorted(record.files) == ["predictions.npz", "weights.safetensors"]
    assert record.sizes == {name: (lab.results / "runs" / record.run_id / name).stat().st_size for name in record.files}
    assert record.environment.threads == 1
    assert record.settings == settings.model_dump(mode="json") | {"seeds": [7]}


def test_a_second_call_changes_nothing(lab: Any) -> None:
    job = lab.job(lab.settings())
    record = lab.make(job)
    before = {path: path.stat().st_mtime_ns for path in lab.run_folder(job).path.iterdir()}
    assert lab.make(job) == record
    assert {path: path.stat().st_mtime_ns for path in lab.run_folder(job).path.iterdir()} == before


@pytest.mark.slow
def test_a_run_that_diverges_is_recorded_with_its_reason_and_without_scores(lab: Any) -> None:
    job = lab.job(lab.settings("optimizer.lr=1e9", "data.val_size=30"))
    record = lab.make(job)
    assert (record.status, record.val, record.test, record.test_reason) == ("diverged", None, None, "diverged")
    assert record.reason is not None
    assert record.reason.startswith("the loss was not finite in epoch 1 at step ")
    assert record.files == {}
    folder = lab.run_folder(job)
    assert "NaN" not in folder.record.read_text(encoding="utf-8")
    assert not list(folder.path.glob("checkpoint*"))
    assert lab.make(job) == record


def test_a_run_computes_without_subnormal_numbers(lab: Any) -> None:
    found: list[float] = []
    lab.make(lab.job(lab.settings()), tell=lambda event: found.append(float(torch.full((), SUBNORMAL) * 1)))
    assert set(found) == {0.0}
    assert float(torch.full((), SUBNORMAL) * 1) == SUBNORMAL
