"""How much of a sweep winner's lead was luck: its fresh seeds against its place in the search.

A search takes the largest of many numbers, each the true accuracy of a point and chance, so the winner's number is too
high on average; fresh seeds are not chosen by anything. Leads over the control, whose seeds are the same, are compared,
because the validation and the test images differ in how hard they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt
from statistics import fmean
from typing import Literal

from cifar_lab.analysis.answers import WinnersCurse
from cifar_lab.analysis.sentences import points
from cifar_lab.analysis.stats.chance import expected_maximum
from cifar_lab.analysis.stats.samples import pooled_spread
from cifar_lab.analysis.summary import by_recipe, recipe_key
from cifar_lab.analysis.winners import Winners
from cifar_lab.store.records import Record


def sweep_luck(found: Winners, records: Sequence[Record]) -> WinnersCurse | None:
    """What the winner's lead is worth; None where the search has no winner with an accuracy.

    Args:
        records: runs among which the confirming ones are.
    """
    best = next(iter(found.top), None)
    if best is None or best.val_accuracy is None:
        return None
    searched, at_control = best.val_accuracy, found.control.val_accuracy
    seeds = best.seeds_searched or len(found.search.seeds) or 1
    groups = by_recipe(filter(found.confirms, records))
    rows = [groups.get(recipe_key(recipe), []) for recipe in found.recipes]
    split: Literal["validation", "test"] = "validation" if _all_validated(rows) else "test"
    fresh = [[accuracy for record in row if (accuracy := _accuracy(record, split)) is not None] for row in rows]
    spread = pooled_spread(fresh)
    maximum, run_spread = expected_maximum(found.points), 100 * spread[0] if spread else None
    means = [fmean(values) if values else None for values in fresh]
    lead_searched, lead_fresh = _lead(searched, at_control), _lead(means[1], means[0])
    luck = WinnersCurse(
        winner=best.label,
        points=found.points,
        seeds_searched=seeds,
        searched=searched,
        control_searched=at_control,
        fresh=means[1],
        control_fresh=means[0],
        fresh_split=split,
        n_fresh=len(fresh[1]),
        lead_searched=lead_searched,
        lead_fresh=lead_fresh,
        luck=None if lead_searched is None or lead_fresh is None else lead_searched - lead_fresh,
        run_spread=run_spread,
        expected_maximum=maximum,
        expected_luck=None if run_spread is None else maximum * run_spread / sqrt(seeds),
        sentence="",
    )
    return _with_sentence(luck)


def _all_validated(rows: Sequence[Sequence[Record]]) -> bool:
    """Whether the fresh runs of the control and the winner have a validation split."""
    runs = [record for row in rows[:2] for record in row if record.status == "done"]
    return bool(runs) and all(record.val is not None for record in runs)


def _accuracy(record: Record, split: Literal["validation", "test"]) -> float | None:
    score = record.val if split == "validation" else record.test
    return None if score is None or record.status != "done" else score.accuracy


def _lead(winner: float | None, control: float | None) -> float | None:
    return None if winner is None or control is None else 100 * (winner - control)


def _with_sentence(luck: WinnersCurse) -> WinnersCurse:
    parts = [_search_words(luck)]
    if luck.luck is not None:
        kept = "of that lead did not repeat" if luck.luck > 0 else "more than in the search"
        parts.append(f": {points(abs(luck.luck))} pp {kept}")
    text = "".join(parts) + "."
    if luck.expected_luck is not None and luck.run_spread is not None and luck.points > 1:
        text += (
            f" Were all {luck.points:,} points equal, the best of them would seem {points(luck.expected_luck)} pp "
            f"better than they are, by chance alone ({luck.expected_maximum:.1f} times the spread of "
            f"{points(luck.run_spread)} pp between runs{_over_seeds(luck)})."
        )
    return replace(luck, sentence=text)


def _over_seeds(luck: WinnersCurse) -> str:
    return "" if luck.seeds_searched == 1 else f", over the root of {luck.seeds_searched} seeds a point"


def _search_words(luck: WinnersCurse) -> str:
    points_words = "the only point" if luck.points == 1 else f"the best of {luck.points:,} points"
    seen = f"{100 * luck.searched:.2f} % of the validation images right in the search"
    where = f"{luck.winner} is {points_words}: {seen}"
    lead = "" if luck.lead_searched is None else f", {_ahead(luck.lead_searched)}"
    if luck.fresh is None:
        return f"{where}{lead}; its fresh seeds are still to run"
    images = "validation" if luck.fresh_split == "validation" else "test"
    runs = "one fresh seed" if luck.n_fresh == 1 else f"{luck.n_fresh} fresh seeds"
    now = "" if luck.lead_fresh is None else f", {_ahead(luck.lead_fresh)}"
    return f"{where}{lead}; with {runs} it has {100 * luck.fresh:.2f} % of the {images} images right{now}"


def _ahead(lead: float) -> str:
    return f"{points(abs(lead))} pp {'ahead of' if lead >= 0 else 'behind'} the control"
