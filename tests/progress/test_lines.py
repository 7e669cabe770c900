from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from cifar_lab.config import Settings
from cifar_lab.core.terminal import say
from cifar_lab.core.text import count
from cifar_lab.execution.plan import PlannedRun
from cifar_lab.progress.lines import MANY_RUNS, PlainLines, plan_line
from cifar_lab.store.failures import Failure
from cifar_lab.training.events import (
    DeviceChosen,
    EpochCompleted,
    Event,
    RetryScheduled,
    RunOutcome,
    RunResumed,
    RunStarted,
    StepCompleted,
    WorkerQuiet,
)
from cifar_lab.training.job import Job

State = Literal["done", "untested", "interrupted", "missing"]


def planned(*states: State) -> list[PlannedRun]:
    settings = Settings(label="Adam\x1b[31m", epochs=2)
    return [
        PlannedRun(Job(settings, seed, str(seed), {}, "", Path("results"), True), state, None)
        for seed, state in enumerate(states)
    ]


def epoch(number: int, val_accuracy: float | None = None) -> EpochCompleted:
    return EpochCompleted(number, 0.1, 1.23456, 0.5, None, val_accuracy, 0.25)


def outcome(status: Any, reason: str | None = None) -> RunOutcome:
    return RunOutcome(status=status, reason=reason)


@pytest.mark.parametrize(
    ("states", "line"),
    [
        (["missing"], "1 run: 1 to train"),
        (["done", "done"], "2 runs: 2 already done"),
        (["missing", "untested", "done", "interrupted", "missing"],
         "5 runs: 1 already done, 2 to train, 1 to resume, 1 to test"),
    ],
)  # fmt: skip
def test_the_plan_in_words(states: list[State], line: str) -> None:
    assert plan_line(planned(*states)) == line


def test_a_command_from_its_plan_to_its_end() -> None:
    stream = io.StringIO()
    lines = PlainLines(stream)
    runs = planned("missing", "interrupted", "missing", "missing", "done")
    first, second, third, fourth, _ = (run.job for run in runs)
    lines.begin(runs)
    device = DeviceChosen(device="cpu", threads=1)
    events: list[tuple[Job, Event]] = [
        (first, RunStarted()), (second, RunStarted()), (first, device), (second, device),
        (second, RunResumed(epoch=1)),
        (first, StepCompleted(epoch=1, step=50, steps=99, loss=1.0, accuracy=0.5)),
        (first, epoch(1)), (second, epoch(2, val_accuracy=0.4321)), (second, outcome("done")),
        (first, outcome("interrupted", "stopped after epoch 1, whose checkpoint is kept")),
        (third, outcome("diverged", "the loss was not finite in epoch 1 at step 3")),
        (fourth, outcome("failed", "ValueError: two\nlines \x1b[0m")),
    ]  # fmt: skip
    for job, event in events:
        lines.event(job, event)
    lines.end()
    assert stream.getvalue().splitlines() == [
        "5 runs: 1 already done, 3 to train, 1 to resume",
        "device: cpu, 1 CPU thread per run",
        "Adam[31m · seed 1: resumes after epoch 1",
        "Adam[31m · seed 0: epoch 1/2, loss 1.235, training accuracy 0.500, 0.2 s",
        "Adam[31m · seed 1: epoch 2/2, loss 1.235, training accuracy 0.500, validation accuracy 0.432, 0.2 s",
        "[1/4] Adam[31m · seed 1: done, validation accuracy 0.4321 · 1 s left",
        "[2/4] Adam[31m · seed 0: stopped: stopped after epoch 1, whose checkpoint is kept · 1 s left",
        "[3/4] Adam[31m · seed 2: diverged: the loss was not finite in epoch 1 at step 3 · 1 s left",
        "[4/4] Adam[31m · seed 3: failed: ValueError: two lines [0m",
    ]


def test_each_plan_counts_from_one() -> None:
    stream = io.StringIO()
    lines = PlainLines(stream)
    for _ in range(2):
        runs = planned("missing")
        lines.begin(runs)
        lines.event(runs[0].job, outcome("done"))
    assert stream.getvalue().splitlines().count("[1/1] Adam[31m · seed 0: done") == 2


def test_many_runs_are_a_line_a_run() -> None:
    stream = io.StringIO()
    lines = PlainLines(stream)
    runs = planned(*["missing"] * (MANY_RUNS + 1))  # type: ignore[list-item]
    lines.begin(runs)
    lines.event(runs[0].job, epoch(1))
    lines.event(runs[0].job, replace(outcome("done"), val_accuracy=0.512345, test_accuracy=None))
    lines.event(runs[1].job, epoch(2))
    lines.event(runs[1].job, replace(outcome("done"), test_accuracy=0.625))
    assert stream.getvalue().splitlines() == [
        "21 runs: 21 to train",
        "[1/21] Adam[31m · seed 0: done, validation accuracy 0.5123 · 10 s left",
        "[2/21] Adam[31m · seed 1: done, training accuracy 0.5000 · 10 s left",
    ]


def test_a_plan_says_what_failed_before() -> None:
    failure = Failure(
        run_id="0", label="Adam", seed=0, kind="oom", reason="out of memory", exit_code=1, attempts=2, when="2026-01-01"
    )
    first, *others = planned("missing", "interrupted", "done")
    assert plan_line([replace(first, failure=failure), *others]) == (
        "3 runs: 1 already done, 1 to train, 1 to resume, 1 of these failed before"
    )


def test_trouble_is_told_of_a_run_that_goes_on() -> None:
    stream = io.StringIO()
    lines = PlainLines(stream)
    runs = planned("missing", "missing", "missing")
    lines.begin(runs)
    retry = RetryScheduled(reason="its process was killed by signal 9", attempt=2, alone=False)
    alone = RetryScheduled(reason="out of memory", attempt=3, alone=True)
    for event in (retry, alone, WorkerQuiet(seconds=240.0, pid=77)):
        lines.event(runs[0].job, event)
    name, goes = "Adam[31m · seed", "resumes from its last epoch"
    assert stream.getvalue().splitlines()[1:] == [
        f"{name} 0: its process was killed by signal 9; attempt 2 {goes}",
        f"{name} 0: out of memory; attempt 3 {goes}, alone, after the other runs have ended",
        f"{name} 0: no progress for 4 min (process 77); the step may be long, or the process may be stuck: "
        "use --run-timeout to end such runs",
    ]


def test_now_and_then_it_is_told_how_the_command_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cifar_lab.progress.lines.STANDING_SECONDS", 0.0)
    stream = io.StringIO()
    lines = PlainLines(stream)
    runs = planned("missing", "missing")
    lines.begin(runs)
    lines.event(runs[1].job, DeviceChosen(device="cpu", threads=1))
    lines.event(runs[0].job, epoch(2))
    lines.event(runs[0].job, replace(outcome("done"), val_accuracy=0.25, test_accuracy=0.5))
    assert stream.getvalue().splitlines()[-1] == (
        "1/2 runs · 1 s elapsed, 1 s left · best validation 0.250: Adam[31m · seed 0 · 1 running"
    )
    lines.event(runs[1].job, outcome("done"))
    assert stream.getvalue().splitlines()[-1] == "[2/2] Adam[31m · seed 1: done"


def test_preparing_data_is_told_now_and_then() -> None:
    stream = io.StringIO()
    lines = PlainLines(stream)
    for done in range(0, 1001, 10):
        lines.preparing("drawing images", done, 1000)
    for _ in range(100):
        lines.preparing("waiting for another process", 0, 0)
    for done in range(0, 1000, 10):
        lines.preparing("downloading", done, 0)
    assert stream.getvalue().splitlines() == [
        "drawing images: 0 %", "drawing images: 100 %", "waiting for another process", "downloading",
    ]  # fmt: skip


def test_a_full_log_costs_lines_and_no_work() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    runs = planned("missing")
    stream = open("/dev/full", "w")  # noqa: PTH123, SIM115
    lines = PlainLines(stream)
    lines.begin(runs)
    lines.event(runs[0].job, outcome("done"))
    with pytest.raises(OSError, match="No space left on device"):
        say("a result", stream)
    with pytest.raises(OSError, match="No space left on device"):
        stream.close()


def test_count() -> None:
    assert [count(number, "run") for number in (0, 1, 2, 1234)] == ["0 runs", "1 run", "2 runs", "1,234 runs"]
