"""Groups of a sweep, each at its best point: tries, accuracy in the search and with fresh seeds, and the luck of both.

Every winner is the best of several points, so its accuracy in the search is too high. With as many tries in each group
that luck is alike, and the fresh seeds, which chose nothing, compare the groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt
from statistics import fmean

from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.selection_bias import Split, accuracy_on, is_validated
from cifar_lab.analysis.stats.significance import expected_maximum, pooled_std
from cifar_lab.analysis.summary import by_recipe, recipe_key
from cifar_lab.analysis.winners import SweepControl, Winner, Winners
from cifar_lab.store.records import Record


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


def pair_answers(answer: Answer) -> list[Answer]:
    """Answers that compare the groups beside the first one with each other. Empty below three groups."""
    made = []
    for index, control in enumerate(answer.rows[1:-1], start=1):
        stem = answer.question.chart.removesuffix(".png")[:56]
        title = f"{answer.question.title[:200]} Compared with {control.label[:80]}"
        question = answer.question.model_copy(update={"chart": f"{stem}-{index + 1}.png", "title": title})
        rows = (replace(control, is_control=True), *answer.rows[index + 1 :])
        notes = (f"{answer.name} has the tries and the other groups of this sweep.",)
        made.append(Answer(f"{answer.name}-{index + 1}", question, rows, notes))
    return made
