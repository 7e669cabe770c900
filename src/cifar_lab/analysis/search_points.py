"""Points of a search with their validation accuracy, and the main effect of each axis."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from cifar_lab.core.errors import DataError
from cifar_lab.core.files import read_regular
from cifar_lab.core.text import setting_words
from cifar_lab.store.documents import read_document
from cifar_lab.store.left_out import leave_out
from cifar_lab.store.records import Record
from cifar_lab.store.results import SweepFolder

_NUMBER_TYPES = (int, float)


@dataclass(frozen=True)
class SearchedPoint:
    """Point of a search with its result."""

    name: str
    values: Mapping[str, Any]
    """Settings of the point, by dotted key."""
    accuracy: float | None
    """Mean validation accuracy of its finished runs, percent. None where it has none."""
    runs: int
    """Number of its finished runs."""
    diverged: int
    dropped_after: int | None = None
    """Number of seeds after which a race dropped the point."""


@dataclass(frozen=True)
class AxisValue:
    """One value of an axis, averaged over the other axes."""

    words: str
    mean: float
    """Mean over the points that have this value, percent."""
    each: tuple[float, ...]
    """Accuracy of every such point."""

    @property
    def best(self) -> float:
        """Accuracy of the best such point, percent."""
        return max(self.each)


@dataclass(frozen=True)
class Axis:
    """Setting that the search varied."""

    key: str
    values: tuple[AxisValue, ...]
    """Values of finished points, by size where they are numbers, else in the order of the plan."""
    is_ordered: bool = True
    """Whether the values are numbers, so that a line may join them."""

    @property
    def reach(self) -> float:
        """Range of the means along the axis, percentage points."""
        means = [value.mean for value in self.values]
        return max(means) - min(means)


def read_points(results: Path, name: str, records: Mapping[str, Record]) -> list[SearchedPoint]:
    """Read the points of the sweep called `name`, in the order of its plan. Empty where no plan can be read.

    A damaged plan is named.

    Args:
        results: the results folder.
        name: of the sweep.
        records: by run id, those of the search included.
    """
    path = SweepFolder(results, name).plan
    try:
        plan = json.loads(read_regular(path))
        points = [(str(point["name"]), dict(point["values"]), [*map(str, point["runs"])]) for point in plan["points"]]
        search = plan.get("search")
        out = _dropped(SweepFolder(results, name)) if isinstance(search, dict) and search.get("racing") else {}
        return [
            _point(label, values, [records[i] for i in ids if i in records], out.get(ids[0]) if ids else None)
            for label, values, ids in points
        ]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        leave_out(f"{path}: is damaged, so the points of the search are left out; run the sweep again to rebuild it")
        return []


def _dropped(folder: SweepFolder) -> dict[str, int]:
    """Number of seeds after which a race dropped a point, by its first run. Empty before the first comparison.

    A run id never changes its meaning. Another version may name the point otherwise.
    """
    try:
        points = read_document(folder.history).values["points"]
        return {str(p["runs"][0]): int(p["dropped_after_seeds"]) for p in points if p.get("dropped_after_seeds")}
    except FileNotFoundError:
        return {}
    except (OSError, DataError, ValueError, LookupError, TypeError, AttributeError):
        leave_out(f"{folder.history}: is damaged and left out; run the sweep again to rebuild it")
        return {}


def _point(name: str, values: Mapping[str, Any], runs: Sequence[Record], dropped_after: int | None) -> SearchedPoint:
    accuracies = [100 * run.val.accuracy for run in runs if run.status == "done" and run.val is not None]
    diverged = sum(run.status == "diverged" for run in runs)
    return SearchedPoint(
        name, values, fmean(accuracies) if accuracies else None, len(accuracies), diverged, dropped_after
    )


def best_points(points: Sequence[SearchedPoint]) -> list[SearchedPoint]:
    """Points with an accuracy, the best first. Points that a race dropped follow those that it kept."""
    finished = [point for point in points if point.accuracy is not None]
    return sorted(finished, key=lambda point: (point.dropped_after is not None, -(point.accuracy or 0.0)))


def axes_of(points: Sequence[SearchedPoint]) -> list[Axis]:
    """Settings of which the finished points have more than one value, the one with the largest effect first."""
    finished = [point for point in points if point.accuracy is not None]
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
