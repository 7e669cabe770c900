"""Winner's curse: the selection bias of a sweep's winner, measured with fresh seeds.

A search takes the largest of many numbers, each the true accuracy of a point plus noise. The winner's number is
therefore too high on average, while fresh seeds are not selected by anything. Leads over the control, whose seeds are
the same, are compared, because the validation and the test images differ in difficulty.

With groups every winner is the best of several points. With as many tries in each group that luck is alike, and the
fresh seeds, which chose nothing, compare the groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean
from typing import Literal

from cifar_lab.analysis.stats.significance import expected_maximum, pooled_std
from cifar_lab.analysis.summary import by_recipe, recipe_key
from cifar_lab.analysis.winners import SweepControl, Winner, Winners
from cifar_lab.store.records import Record

Split = Literal["validation", "test"]


@dataclass(frozen=True)
class WinnersCurse:
    """Lead of a sweep's winner in the search and with fresh seeds. Accuracies are shares from 0 to 1."""

    winner: str
    """Label of the point that the search ranked first."""
    points: int
    """Points of the search."""
    seeds_searched: int
    """Runs per point in the search."""
    searched: float
    """Validation accuracy of the winner in the search."""
    control_searched: float | None
    """Validation accuracy of the control in the search. None if the control was not a point of the search."""
    fresh: float | None
    """Mean accuracy of the winner's fresh seeds. None before they have run."""
    control_fresh: float | None
    fresh_split: Split
    """Split of `fresh` and `control_fresh`: validation where those runs have one."""
    n_fresh: int
    """Fresh runs of the winner."""
    lead_searched_pp: float | None
    """The winner's lead over the control in the search."""
    lead_fresh_pp: float | None
    """The winner's lead over the control with fresh seeds."""
    selection_bias_pp: float | None
    """lead_searched_pp - lead_fresh_pp: the part of the lead that did not repeat."""
    run_std_pp: float | None
    """Standard deviation of a run over seeds, pooled over the rows' fresh runs."""
    expected_maximum: float
    """Expected maximum of as many standard normal numbers as points."""
    expected_bias_pp: float | None
    """Expected lead of the best of as many equal points over their mean."""


def winners_curse(found: Winners, records: Sequence[Record]) -> WinnersCurse | None:
    """Measure the selection bias of a sweep. None where the search has no winner with an accuracy.

    Args:
        records: runs among which the confirming ones are.
    """
    best = next(iter(found.top), None)
    if best is None or best.val_accuracy is None or found.search.per:
        return None
    searched, control_searched = best.val_accuracy, found.control.val_accuracy
    seeds = best.seeds_searched or len(found.search.seeds) or 1
    groups = by_recipe(filter(found.confirms, records))
    rows = [groups.get(recipe_key(recipe), []) for recipe in found.recipes]
    split: Split = "validation" if _all_validated(rows) else "test"
    fresh = [[accuracy for record in row if (accuracy := accuracy_on(record, split)) is not None] for row in rows]
    std = pooled_std(fresh)
    maximum, run_std_pp = expected_maximum(found.points), 100 * std[0] if std else None
    means = [fmean(values) if values else None for values in fresh]
    lead_searched, lead_fresh = _lead_pp(searched, control_searched), _lead_pp(means[1], means[0])
    return WinnersCurse(
        winner=best.label,
        points=found.points,
        seeds_searched=seeds,
        searched=searched,
        control_searched=control_searched,
        fresh=means[1],
        control_fresh=means[0],
        fresh_split=split,
        n_fresh=len(fresh[1]),
        lead_searched_pp=lead_searched,
        lead_fresh_pp=lead_fresh,
        selection_bias_pp=None if lead_searched is None or lead_fresh is None else lead_searched - lead_fresh,
        run_std_pp=run_std_pp,
        expected_maximum=maximum,
        # The mean of several seeds per point has a standard deviation smaller by their root.
        expected_bias_pp=None if run_std_pp is None else maximum * run_std_pp / sqrt(seeds),
    )


def _all_validated(rows: Sequence[Sequence[Record]]) -> bool:
    """Whether the fresh runs of the control and the winner have a validation split."""
    return is_validated([record for row in rows[:2] for record in row])


def is_validated(records: Sequence[Record]) -> bool:
    """Whether the finished runs have a validation split. False without any."""
    runs = [record for record in records if record.status == "done"]
    return bool(runs) and all(record.val is not None for record in runs)


def accuracy_on(record: Record, split: Split) -> float | None:
    """Accuracy of a finished run on a split. None where it has none."""
    score = record.val if split == "validation" else record.test
    return None if score is None or record.status != "done" else score.accuracy


def _lead_pp(winner: float | None, control: float | None) -> float | None:
    return None if winner is None or control is None else 100 * (winner - control)


# --- groups of a sweep ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TunedGroup:
    """Best point of a group. Accuracies are shares from 0 to 1."""

    group: str
    winner: str
    """Label of the point."""
    points: int
    """Points of the group that the search tried."""
    seeds_searched: int
    """Runs per point in the search."""
    searched: float | None
    """Validation accuracy in the search."""
    fresh: float | None
    """Mean accuracy of the fresh seeds. None before they have run."""
    fresh_split: Split
    """Split of `fresh`: validation where those runs have one."""
    n_fresh: int
    """Number of fresh runs."""
    expected_bias_pp: float | None
    """Expected lead of the best of as many equal points over their mean, percentage points."""


def tuned_groups(found: Winners, records: Sequence[Record]) -> tuple[TunedGroup, ...]:
    """The groups of a sweep, that of the control first. Empty for a sweep without groups.

    Args:
        records: runs among which the confirming ones are.
    """
    if not found.search.per:
        return ()
    groups = by_recipe(filter(found.confirms, records))
    rows = [groups.get(recipe_key(each.recipe), []) for each in found.group_winners]
    split: Split = "validation" if all(map(is_validated, rows)) else "test"
    fresh = [[value for run in row if (value := accuracy_on(run, split)) is not None] for row in rows]
    std = pooled_std(fresh)
    return tuple(
        _tuned(winner, values, split, None if std is None else 100 * std[0], len(found.search.seeds))
        for winner, values in zip(found.group_winners, fresh, strict=True)
    )


def _tuned(
    winner: Winner | SweepControl, fresh: Sequence[float], split: Split, std_pp: float | None, seeds: int
) -> TunedGroup:
    points, searched = winner.points or 1, winner.seeds_searched or seeds or 1
    bias = None if std_pp is None else expected_maximum(points) * std_pp / sqrt(searched)
    mean = fmean(fresh) if fresh else None
    return TunedGroup(winner.group, winner.label, points, searched, winner.val_accuracy, mean, split, len(fresh), bias)
