from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from cifar_lab.config import Settings
from cifar_lab.execution.plan import PlannedRun
from cifar_lab.progress.live import LiveBars
from cifar_lab.training.events import (
    DeviceChosen,
    EpochCompleted,
    Event,
    ModelOutput,
    RunOutcome,
    RunResumed,
    RunStarted,
    StepCompleted,
)
from cifar_lab.training.job import Job

SHOW, HIDE = "\x1b[?25h", "\x1b[?25l"
"""What makes a terminal show and hide its cursor."""


class Terminal:
    """A terminal of 120 columns whose output is kept."""

    def __init__(self) -> None:
        self._file = io.StringIO()
        self.console = Console(file=self._file, force_terminal=True, width=120, color_system="standard")

    @property
    def output(self) -> str:
        return self._file.getvalue()

    @property
    def words(self) -> str:
        """The output without colours and cursor movements."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.output)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


def planned(count: int, label: str = "Adam", epochs: int = 2, until: int | None = None) -> list[PlannedRun]:
    settings = Settings(label=label, epochs=epochs)
    return [
        PlannedRun(Job(settings, seed, str(seed), {}, "", Path("results"), True, until_epoch=until), "missing", None)
        for seed in range(count)
    ]


def whole_run(epoch_from: int = 1) -> list[dict[str, Any]]:
    """What a run tells."""
    events: list[Event] = [RunStarted(), DeviceChosen(device="cpu", threads=2)]
    if epoch_from > 1:
        events.append(RunResumed(epoch=epoch_from - 1))
    for epoch in range(epoch_from, 3):
        events += [
            StepCompleted(epoch=epoch, step=50, steps=100, loss=2.0, accuracy=0.25),
            EpochCompleted(
                epoch=epoch, train_loss=1.5, train_accuracy=0.5, val_accuracy=0.4, seconds=9.0, lr=0.1, val_loss=None
            ),
        ]
    return events


def outcome(status: Any, reason: str | None = None) -> RunOutcome:
    return RunOutcome(status=status, reason=reason)


def test_every_event_of_a_whole_command(terminal: Terminal) -> None:
    bars = LiveBars(terminal.console)
    runs = planned(4)
    bars.preparing("downloading", 1, 0)
    bars.preparing("drawing images", 50, 100)
    bars.preparing("drawing images", 100, 100)
    bars.begin(runs)
    ends = [
        outcome("done"), outcome("diverged", "the loss was not finite"), outcome("failed", "a [bold]reason[/] \x1b[2J"),
        outcome("interrupted", "stopped after epoch 2, whose checkpoint is kept"),
    ]  # fmt: skip
    for number, (run, end) in enumerate(zip(runs, ends, strict=True)):
        for event in whole_run(epoch_from=2 if number == 1 else 1):
            bars.event(run.job, event)
        bars.event(run.job, RunStarted())
        bars.event(run.job, end)
    bars.end()
    lines = [line.rstrip() for line in terminal.words.splitlines()]
    for line in (
        "4 runs: 4 to train",
        "device: cpu, 2 CPU threads per run",
        "Adam · seed 0: done, validation accuracy 0.4000",
        "Adam · seed 1: diverged: the loss was not finite",
        "Adam · seed 2: failed: a [bold]reason[/] [2J",
        "Adam · seed 3: stopped: stopped after epoch 2, whose checkpoint is kept",
    ):
        assert lines.count(line) == 1, line
    assert terminal.output.rindex(SHOW) > terminal.output.rindex(HIDE)


def test_the_bars_of_a_run_under_way(terminal: Terminal) -> None:
    bars = LiveBars(terminal.console)
    runs = planned(2)
    bars.begin(runs)
    for event in whole_run()[:3]:
        bars.event(runs[0].job, event)
    bars._progress.refresh()
    assert "epoch 1/2  training 0.250  loss 2.000  step 50/100" in terminal.words
    assert "0/2 runs" in terminal.words
    bars.event(runs[0].job, whole_run()[3])
    bars._progress.refresh()
    assert "epoch 1/2  9 s left  validation 0.400  loss 1.500" in terminal.words
    bars.event(runs[1].job, RunStarted())
    bars.event(runs[1].job, RunResumed(epoch=1))
    bars._progress.refresh()
    assert "resumes after 1/2" in terminal.words
    (whole,) = (task for task in bars._progress.tasks if task.description == "all runs")
    assert (whole.completed, whole.total) == (2, 4)
    bars.end()


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (120, "Adam · seed 0 ━━━━━━━━━╺━━ epoch 2/2  4 s left  validation 0.400  loss 2.000  step 50/100"),
        (80, "Adam · seed 0 ━━━━━━━━━╺━━ epoch 2/2  4 s left  validation 0.400  loss 2.000"),
        (70, "Adam · seed 0 ━━━━━━━━━╺━━ epoch 2/2  4 s left  validation 0.400"),
        (60, "Adam · seed 0 ━━━━━━━━━╺━━ epoch 2/2  4 s left"),
        (40, "Adam · seed 0 ━━━━━━━━━╺━━ epoch 2/2"),
    ],
)
def test_columns_drop_by_importance_and_the_bar_keeps_its_width(terminal: Terminal, width: int, line: str) -> None:
    terminal.console.width = width
    bars = LiveBars(terminal.console)
    (run,) = planned(1)
    bars.begin([run])
    for event in whole_run()[:5]:
        bars.event(run.job, event)
    bars._progress.refresh()
    shown = [each.rstrip() for each in terminal.words.splitlines() if "Adam" in each]
    assert shown[-1] == line
    assert all(cell_len(each) <= width for each in terminal.words.splitlines())
    bars.end()


def test_a_rung_is_counted_by_the_epochs_that_it_trains(terminal: Terminal) -> None:
    bars = LiveBars(terminal.console)
    first, second, tested = planned(3, epochs=12, until=6)
    bars.begin([
        replace(first, state="interrupted", epochs=2), replace(second, state="interrupted", epochs=2),
        replace(tested, state="untested", epochs=6),
    ])  # fmt: skip
    bars.event(first.job, RunStarted())
    bars.event(first.job, RunResumed(epoch=2))

    def bars_now() -> list[tuple[str, float, float | None]]:
        return [(task.description, task.completed, task.total) for task in bars._progress.tasks]

    assert bars_now() == [("all runs", 0, 8), ("Adam · seed 0", 0, 4)]
    bars.event(first.job, StepCompleted(epoch=4, step=50, steps=100, loss=2.0, accuracy=0.25))
    assert bars_now() == [("all runs", 1.5, 8), ("Adam · seed 0", 1.5, 4)]
    bars.event(first.job, outcome("paused"))
    bars.event(tested.job, outcome("done"))
    assert bars_now() == [("all runs", 4, 8)]
    bars.event(second.job, outcome("paused"))
    assert bars_now() == [("all runs", 8, 8)]
    bars.end()


def test_runs_that_only_lack_their_test_have_a_bar_without_epochs(terminal: Terminal) -> None:
    bars = LiveBars(terminal.console)
    (tested,) = planned(1)
    bars.begin([replace(tested, state="untested", epochs=2)])
    bars.event(tested.job, RunStarted())
    bars._progress.refresh()
    assert "0/1 run" in terminal.words
    bars.event(tested.job, outcome("done"))
    bars.end()


def test_the_second_plan_of_a_sweep_begins_anew(terminal: Terminal) -> None:
    bars = LiveBars(terminal.console)
    for _ in range(2):
        runs = planned(1)
        bars.begin(runs)
        bars.event(runs[0].job, RunStarted())
        bars.event(runs[0].job, outcome("done"))
        tasks = [
            (task.description, task.completed, task.total, task.fields["parts"][0]) for task in bars._progress.tasks
        ]
        assert tasks == [("all runs", 2, 2, "1/1 run")]
        bars.end()


def test_nothing_to_do_shows_no_bar(terminal: Terminal) -> None:
    bars = LiveBars(terminal.console)
    bars.begin([PlannedRun(run.job, "done", None) for run in planned(3)])
    bars.end()
    assert terminal.output == "3 runs: 3 already done\n"


def test_an_end_without_a_plan_gives_the_cursor_back(terminal: Terminal) -> None:
    bars = LiveBars(terminal.console)
    bars.preparing("downloading", 10, 100)
    assert HIDE in terminal.output
    bars.end()
    assert terminal.output.rindex(SHOW) > terminal.output.rindex(HIDE)


def test_a_label_is_neither_markup_nor_escape_code(terminal: Terminal) -> None:
    bars = LiveBars(terminal.console)
    runs = planned(1, label="[red]Ünï[/] \x1b[2J\x07 [/nothing]")
    bars.begin(runs)
    bars.event(runs[0].job, RunStarted())
    bars._progress.refresh()
    bars.event(runs[0].job, outcome("done"))
    bars.end()
    assert "[red]Ünï[/] [2J [/nothing] · seed 0: done" in terminal.words
    assert "\x1b[2J" not in terminal.output
    assert "\x07" not in terminal.output


def test_output_of_a_model_stands_above_the_bars(terminal: Terminal) -> None:
    bars = LiveBars(terminal.console)
    (run,) = planned(1)
    bars.begin([run])
    bars.event(run.job, RunStarted())
    bars.event(run.job, ModelOutput("made [bold]with[/]\x1b[2J ten"))
    bars._progress.refresh()
    bars.end()
    lines = [line.rstrip() for line in terminal.words.splitlines()]
    assert lines.count("Adam · seed 0: output of its model: made [bold]with[/][2J ten") == 1
