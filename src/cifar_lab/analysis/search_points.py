"""What a search tried: each point with its validation accuracy, and what each axis does with the others averaged."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from cifar_lab.analysis.breakdowns import setting_words
from cifar_lab.store.records import Record
from cifar_lab.store.results import SweepFolder

_NUMBER_TYPES = (int, float)


@dataclass(frozen=True)
class SearchedPoint:
    """A point of a search."""

    name: str
    values: Mapping[str, Any]
    """What it sets: dotted key → value."""
    accuracy: float | None
    """Mean validation accuracy of its finished runs, percent; None where it has none."""
    runs: int
    """Its finished runs."""
    diverged: int


@dataclass(frozen=True)
class AxisValue:
    """One value of an axis, with the other axes averaged."""

    words: str
    mean: float
    """Over the points that have this value, percent."""
    each: tuple[float, ...]
    """Of every such point."""


@dataclass(frozen=True)
class Axis:
    """A setting that the search varied."""

    key: str
    values: tuple[AxisValue, ...]
    """By size where they are numbers, else in the order of the plan; without those that no finished point has."""
    is_ordered: bool = True
    """Whether the values are numbers: a line may join what lies between them."""

    @property
    def reach(self) -> float:
        """How much the mean moves along the axis, percentage points."""
        means = [value.mean for value in self.values]
        return max(means) - min(means)


def read_tried(results: Path, name: str, records: Mapping[str, Record]) -> list[SearchedPoint]:
    """The points of the sweep called `name`, in the order of its plan; empty where there is no plan that can be read.

    Args:
        results: the results folder.
        name: of the sweep.
        records: by run id, those of the search among them.
    """
    try:
        plan = json.loads(SweepFolder(results, name).plan.read_bytes())
        points = [(str(point["name"]), dict(point["values"]), list(point["runs"])) for point in plan["points"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [_tried(label, values, [records[i] for i in ids if i in records]) for label, values, ids in points]


def _tried(name: str, values: Mapping[str, Any], runs: Sequence[Record]) -> SearchedPoint:
    accuracies = [100 * run.val.accuracy for run in runs if run.status == "done" and run.val is not None]
    diverged = sum(run.status == "diverged" for run in runs)
    return SearchedPoint(name, values, fmean(accuracies) if accuracies else None, len(accuracies), diverged)


def axes_of(tried: Sequence[SearchedPoint]) -> list[Axis]:
    """Every setting of which the finished points have more than one value, the one that moves the mean most first."""
    finished = [point for point in tried if point.accuracy is not None]
    keys = dict.fromkeys(key for point in finished for key in point.values)
    axes = []
    for key in keys:
        groups: dict[str, list[float]] = {}
        raw: dict[str, Any] = {}
        for point in finished:
            if key in point.values and point.accuracy is not None:
                words = setting_words(point.values[key])
                raw.setdefault(words, point.values[key])
                groups.setdefault(words, []).append(point.accuracy)
        order = list(groups)
        is_ordered = all(type(value) in _NUMBER_TYPES for value in raw.values())
        if is_ordered:
            order.sort(key=lambda words: raw[words])
        if len(order) > 1:
            values = tuple(AxisValue(words, fmean(groups[words]), tuple(groups[words])) for words in order)
            axes.append(Axis(key, values, is_ordered))
    return sorted(axes, key=lambda axis: -axis.reach)
