"""Breakdowns of an answer, from its records: learning curves, accuracy per class, confusion.

Accuracies are in percent and differences in percentage points (pp), as the charts show them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.summary import recipe_key
from cifar_lab.core.errors import DataError
from cifar_lab.store.left_out import leave_out
from cifar_lab.store.records import EpochMetrics, Record
from cifar_lab.store.results import RunFolder

CURVES = {
    "train_loss": "training loss",
    "train_accuracy": "training accuracy",
    "val_loss": "validation loss",
    "val_accuracy": "validation accuracy",
}
"""Columns of metrics.jsonl that are shown as learning curves, with their names."""

LARGEST_CHANGES = 5
"""Pairs of classes that are named in words."""

MOST_CURVES = 200
"""Runs of an arm whose learning curves are read. A mean over so many is as good as one over all."""


@dataclass(frozen=True)
class ArmBreakdown:
    """Row of an answer with its records."""

    label: str
    style: int
    """Index of its colour and symbol: -1 for the control, arms from 0 in the order of the rows."""
    runs: tuple[Record, ...]
    """Tested runs, by seed."""
    diverged: tuple[Record, ...] = ()
    """Diverged runs, by seed. They have no accuracy."""

    @property
    def is_control(self) -> bool:
        """Whether this is the row that the others are compared with."""
        return self.style < 0

    @property
    def settings(self) -> Mapping[str, Any] | None:
        """Settings of its first run. None without runs."""
        return next((run.settings for run in (*self.runs, *self.diverged)), None)


def arms_of(answer: Answer, records: Mapping[str, Record]) -> list[ArmBreakdown]:
    """Rows of an answer with their records, control first."""
    lost = {(recipe_key(run.recipe), run.seed): run for run in records.values() if run.status == "diverged"}
    found = []
    for index, row in enumerate(answer.rows):
        runs = tuple(records[run_id] for run_id in row.run_ids if run_id in records)
        diverged = tuple(lost[row.key, seed] for seed, _ in row.diverged if (row.key, seed) in lost)
        found.append(ArmBreakdown(row.label, -1 if row.is_control else index - 1, runs, diverged))
    return found


Curve = Sequence[float | None]
"""A number per epoch, None where it was not measured."""


def read_curves(arms: Sequence[ArmBreakdown], results: Path) -> dict[str, dict[str, Curve]]:
    """Read the learning curves of each run id, by column. A missing or damaged file is named and left out."""
    found = {}
    for run in (run for arm in arms for run in arm.runs[:MOST_CURVES]):
        try:
            columns = _curves(RunFolder(results, run.run_id).read_metrics(run))
        except DataError as fault:
            leave_out(fault)
            continue
        if columns:
            found[run.run_id] = columns
    return found


def _curves(history: Sequence[EpochMetrics]) -> dict[str, Curve]:
    columns = {name: [getattr(line, name) for line in history] for name in CURVES}
    return {name: values for name, values in columns.items() if any(value is not None for value in values)}


def arm_curves(arm: ArmBreakdown, histories: Mapping[str, Mapping[str, Curve]]) -> dict[str, list[Curve]]:
    """Curves of the arm's runs, by column. Columns without a curve are left out."""
    runs = [histories[run.run_id] for run in arm.runs if run.run_id in histories]
    found = {name: [run[name] for run in runs if name in run] for name in CURVES}
    return {name: each for name, each in found.items() if each}


def mean_curve(curves: Sequence[Curve]) -> list[float | None]:
    """Mean over the runs at each epoch. None where no run has a number."""
    columns = [[value for value in epoch if value is not None] for epoch in zip_longest(*curves)]
    return [sum(known) / len(known) if known else None for known in columns]


def last_epoch(arm: ArmBreakdown, histories: Mapping[str, Mapping[str, Curve]]) -> dict[str, float]:
    """Mean over the arm's runs of the last number of each curve, by column."""
    ends = {
        name: [end for curve in each if (end := curve[-1]) is not None]
        for name, each in arm_curves(arm, histories).items()
    }
    return {name: sum(values) / len(values) for name, values in ends.items() if values}


@dataclass(frozen=True)
class ClassGap:
    """Difference of an arm to the control in each class, pp."""

    arm: ArmBreakdown
    mean: tuple[float, ...]
    """Mean over the shared seeds, or the difference of the means where no seed is shared."""
    each: tuple[tuple[int, tuple[float, ...]], ...]
    """(seed, difference in each class) of each shared seed."""

    @property
    def best(self) -> int:
        """Index of the class with the largest mean difference."""
        return max(range(len(self.mean)), key=lambda index: self.mean[index])

    @property
    def worst(self) -> int:
        """Index of the class with the smallest mean difference."""
        return min(range(len(self.mean)), key=lambda index: self.mean[index])


def class_accuracies(arm: ArmBreakdown) -> list[float]:
    """Mean accuracy of each class over the arm's runs, percent."""
    return _rounded(100 * np.mean([_per_class(run) for run in arm.runs], axis=0))


def class_gaps(control: ArmBreakdown, arms: Sequence[ArmBreakdown]) -> list[ClassGap]:
    """Each arm that has runs against the control, class by class. Empty where the control has none."""
    gaps: list[ClassGap] = []
    theirs = {run.seed: _per_class(run) for run in control.runs}
    for arm in _comparable(control, arms):
        each = [(run.seed, 100 * (_per_class(run) - theirs[run.seed])) for run in arm.runs if run.seed in theirs]
        if each:
            mean = np.mean([gap for _, gap in each], axis=0)
        else:
            ours = [_per_class(run) for run in arm.runs]
            mean = 100 * (np.mean(ours, axis=0) - np.mean(list(theirs.values()), axis=0))
        gaps.append(ClassGap(arm, tuple(_rounded(mean)), tuple((seed, tuple(_rounded(gap))) for seed, gap in each)))
    return gaps


@dataclass(frozen=True)
class Change:
    """Rate at which one class is taken for another, of 100 images of the true class."""

    true: str
    predicted: str
    before: float
    """Rate of the control."""
    after: float
    """Rate of the arm."""

    @property
    def difference(self) -> float:
        """Rate of the arm minus that of the control."""
        return self.after - self.before


@dataclass(frozen=True)
class ConfusionGap:
    """Confusion matrix of an arm minus that of the control, of 100 images of each true class."""

    arm: ArmBreakdown
    cells: tuple[tuple[float, ...], ...]
    """cells[true][predicted]."""
    changes: tuple[Change, ...]
    """Largest changes of mistakes, the largest first."""

    @property
    def is_empty(self) -> bool:
        """Whether the arm confuses the classes as the control does."""
        return not any(map(any, self.cells))


def confusion_gaps(control: ArmBreakdown, arms: Sequence[ArmBreakdown]) -> list[ConfusionGap]:
    """Each arm that has runs against the control: means over runs, of the shared seeds where seeds are shared."""
    gaps: list[ConfusionGap] = []
    for arm in _comparable(control, arms):
        shared = {run.seed for run in control.runs} & {run.seed for run in arm.runs}
        before = _confusion([run for run in control.runs if run.seed in shared] or control.runs)
        after = _confusion([run for run in arm.runs if run.seed in shared] or arm.runs)
        gap = after - before
        changes = _largest_changes(control.runs[0].data.classes, before, after)
        gaps.append(ConfusionGap(arm, tuple(tuple(_rounded(line)) for line in gap), changes))
    return gaps


def _largest_changes(
    names: Sequence[str], before: NDArray[np.float64], after: NDArray[np.float64]
) -> tuple[Change, ...]:
    """Mistakes whose rate changed most."""
    gap = after - before
    mistakes = sorted(
        ((true, predicted) for true in range(len(names)) for predicted in range(len(names)) if true != predicted),
        key=lambda pair: (-abs(gap[pair]), pair),
    )
    return tuple(
        Change(names[pair[0]], names[pair[1]], round(float(before[pair]), 2), round(float(after[pair]), 2))
        for pair in mistakes[:LARGEST_CHANGES]
        if gap[pair]
    )


def _comparable(control: ArmBreakdown, arms: Sequence[ArmBreakdown]) -> list[ArmBreakdown]:
    """Arms that have runs, if the control has. None if a run lacks numbers per class, as records of other tools may."""
    runs = [run for arm in (control, *arms) for run in arm.runs]
    scored = [(run.test, len(run.data.classes)) for run in runs if run.test is not None]
    is_whole = all(len(test.per_class) == len(test.confusion) == count for test, count in scored)
    return [arm for arm in arms if arm.runs] if control.runs and is_whole else []


def _per_class(run: Record) -> NDArray[np.float64]:
    assert run.test is not None
    return np.asarray(run.test.per_class)


def _confusion(runs: Sequence[Record]) -> NDArray[np.float64]:
    """Mean confusion matrix over the runs, of 100 images of each true class."""
    matrices = [np.asarray(run.test.confusion, dtype=float) for run in runs if run.test is not None]
    total: NDArray[np.float64] = np.mean(matrices, axis=0)
    shares: NDArray[np.float64] = 100 * total / np.maximum(total.sum(axis=1, keepdims=True), 1)
    return shares


def _rounded(values: NDArray[np.float64]) -> list[float]:
    """Round for a chart: 1/1000 is finer than a pixel."""
    return [float(value) for value in np.round(values, 3) + 0.0]
