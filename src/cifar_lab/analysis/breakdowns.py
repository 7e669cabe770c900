"""What lies behind a question's answer: curves, classes, confusions, costs, settings. Numbers only, from the records.

Accuracies and differences are in percent and percentage points (pp), so that a chart shows them as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.summary import recipe_key
from cifar_lab.store.records import EpochMetrics, Record

CURVES = {
    "train_loss": "training loss",
    "train_accuracy": "training accuracy",
    "val_loss": "validation loss",
    "val_accuracy": "validation accuracy",
}
"""Columns of metrics.jsonl that make a learning curve, and their names."""

LARGEST_CHANGES = 5
"""Pairs of classes that are named in words."""

_NOT_COMPARED = ("label", "seeds", "data.root", "data.dataset", "data.train_size", "data.test_size")
"""Settings that an arm may differ in without being another recipe: names, seeds, where the images lie."""


@dataclass(frozen=True)
class ArmBreakdown:
    """A row of an answer with its records."""

    label: str
    style: int
    """-1 is the control; arms count from 0, in the order of the rows."""
    runs: tuple[Record, ...]
    """The tested runs, by seed."""
    diverged: tuple[Record, ...] = ()
    """By seed; they have no accuracy."""

    @property
    def is_control(self) -> bool:
        return self.style < 0


def arms_of(answer: Answer, records: Mapping[str, Record]) -> list[ArmBreakdown]:
    """The rows of an answer with the records behind them, control first."""
    lost = {(recipe_key(run.recipe), run.seed): run for run in records.values() if run.status == "diverged"}
    found = []
    for place, row in enumerate(answer.rows):
        runs = tuple(records[run_id] for run_id in row.run_ids if run_id in records)
        diverged = tuple(lost[row.key, seed] for seed, _ in row.diverged if (row.key, seed) in lost)
        found.append(ArmBreakdown(row.label, -1 if row.is_control else place - 1, runs, diverged))
    return found


# --- learning curves ------------------------------------------------------------------------------------------------


def curves(history: Sequence[EpochMetrics]) -> dict[str, list[float | None]]:
    """Name of the column → a number an epoch, without columns that have none."""
    columns = {name: [getattr(line, name) for line in history] for name in CURVES}
    return {name: values for name, values in columns.items() if any(value is not None for value in values)}


# --- classes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ClassGap:
    """How far an arm is above the control in each class, pp."""

    arm: ArmBreakdown
    mean: tuple[float, ...]
    """Over the shared seeds; the difference of the means where no seed is shared."""
    each: tuple[tuple[int, tuple[float, ...]], ...]
    """(seed, difference in each class) of each shared seed."""


def class_accuracies(arm: ArmBreakdown) -> list[float]:
    """Mean accuracy of each class over the arm's runs, percent."""
    return _rounded(100 * np.mean([_per_class(run) for run in arm.runs], axis=0))


def class_gaps(control: ArmBreakdown, arms: Sequence[ArmBreakdown]) -> list[ClassGap]:
    """Each arm that has runs against the control, class by class; empty where the control has none."""
    gaps: list[ClassGap] = []
    if not _have_all_classes((control, *arms)):
        return gaps
    for arm in arms:
        if not control.runs or not arm.runs:
            continue
        theirs = {run.seed: _per_class(run) for run in control.runs}
        each = [(run.seed, 100 * (_per_class(run) - theirs[run.seed])) for run in arm.runs if run.seed in theirs]
        if each:
            mean = np.mean([gap for _, gap in each], axis=0)
        else:
            mean = 100 * (
                np.mean([_per_class(run) for run in arm.runs], axis=0) - np.mean(list(theirs.values()), axis=0)
            )
        gaps.append(ClassGap(arm, tuple(_rounded(mean)), tuple((seed, tuple(_rounded(gap))) for seed, gap in each)))
    return gaps


# --- confusion ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """How often one class is taken for another, of 100 images of the true class."""

    true: str
    predicted: str
    before: float
    """By the control."""
    after: float
    """By the arm."""


@dataclass(frozen=True)
class ConfusionGap:
    """Confusion matrix of an arm minus that of the control, of 100 images of each true class."""

    arm: ArmBreakdown
    cells: tuple[tuple[float, ...], ...]
    """cells[true][predicted]."""
    changes: tuple[Change, ...]
    """The largest of the mistakes, the largest change first."""

    @property
    def is_empty(self) -> bool:
        """Whether the arm takes every class for the same classes as the control does."""
        return not any(map(any, self.cells))


def confusion_gaps(control: ArmBreakdown, arms: Sequence[ArmBreakdown]) -> list[ConfusionGap]:
    """Each arm that has runs against the control: means over runs, of shared seeds where there are any."""
    gaps: list[ConfusionGap] = []
    if not _have_all_classes((control, *arms)):
        return gaps
    for arm in arms:
        if not control.runs or not arm.runs:
            continue
        shared = {run.seed for run in control.runs} & {run.seed for run in arm.runs}
        before = _confusion([run for run in control.runs if run.seed in shared] or control.runs)
        after = _confusion([run for run in arm.runs if run.seed in shared] or arm.runs)
        gap = after - before
        names = control.runs[0].data.classes
        mistakes = sorted(
            ((true, predicted) for true in range(len(names)) for predicted in range(len(names)) if true != predicted),
            key=lambda pair: (-abs(gap[pair]), pair),
        )
        changes = tuple(
            Change(
                names[true],
                names[predicted],
                round(float(before[true, predicted]), 2),
                round(float(after[true, predicted]), 2),
            )
            for true, predicted in mistakes[:LARGEST_CHANGES]
            if gap[true, predicted]
        )
        gaps.append(ConfusionGap(arm, tuple(tuple(_rounded(line)) for line in gap), changes))
    return gaps


# --- settings -------------------------------------------------------------------------------------------------------


def settings_that_differ(arms: Sequence[ArmBreakdown]) -> list[tuple[str, list[str]]]:
    """(dotted key, its value in each arm) of every setting that is not the same in all arms that have runs.

    A setting that an arm does not have is a dash.
    """
    flat = [_flat(runs[0].settings) if (runs := (*arm.runs, *arm.diverged)) else None for arm in arms]
    keys = sorted({key for values in flat if values is not None for key in values if key not in _NOT_COMPARED})
    rows = []
    for key in keys:
        values = [None if each is None else each.get(key, "–") for each in flat]
        if len({value for value in values if value is not None}) > 1:
            rows.append((key, ["" if value is None else value for value in values]))
    return rows


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = setting_words(value)
    return found


def setting_words(value: Any) -> str:
    """A setting as a settings file writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(setting_words, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


# --- numbers --------------------------------------------------------------------------------------------------------


def mean_or_none(values: Sequence[float]) -> float | None:
    """Their mean; None of no values."""
    return fmean(values) if values else None


def _have_all_classes(arms: Sequence[ArmBreakdown]) -> bool:
    """Whether every run has a number for each of its classes, as those do that cifar-lab wrote."""
    scored = [(run.test, len(run.data.classes)) for arm in arms for run in arm.runs if run.test is not None]
    return all(len(test.per_class) == len(test.confusion) == count for test, count in scored)


def _per_class(run: Record) -> NDArray[np.float64]:
    assert run.test is not None
    return np.asarray(run.test.per_class)


def _confusion(runs: Sequence[Record]) -> NDArray[np.float64]:
    """Mean over the runs, of 100 images of each true class."""
    matrices = [np.asarray(run.test.confusion, dtype=float) for run in runs if run.test is not None]
    total: NDArray[np.float64] = np.mean(matrices, axis=0)
    shares: NDArray[np.float64] = 100 * total / np.maximum(total.sum(axis=1, keepdims=True), 1)
    return shares


def _rounded(values: NDArray[np.float64]) -> list[float]:
    """As a chart needs them: 1/1000 is finer than a pixel."""
    return [float(value) for value in np.round(values, 3) + 0.0]
