"""Winner of a sweep in words, or the best point of each group, with the luck of the choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cifar_lab.analysis.evidence_words import pp

if TYPE_CHECKING:
    from cifar_lab.analysis.answers import Answer
    from cifar_lab.analysis.selection_bias import TunedGroup, WinnersCurse


def selection_sentences(answer: Answer) -> list[str]:
    """Bias of a sweep's winner, or the best point of each group with the luck of the choice. Empty without a sweep."""
    return [winner_sentence(answer.selection_bias)] if answer.selection_bias else tuned_sentences(answer.tuned)


def winner_sentence(curse: WinnersCurse) -> str:
    """The winner's lead in the search and with fresh seeds, and the lead that chance alone gives."""
    text = _winner_leads(curse)
    if curse.selection_bias_pp is not None:
        kept = "of that lead did not repeat" if curse.selection_bias_pp > 0 else "more than in the search"
        text += f": {pp(abs(curse.selection_bias_pp))} pp {kept}"
    text += "."
    if curse.expected_bias_pp is not None and curse.run_std_pp is not None and curse.points > 1:
        seeds = curse.seeds_searched
        over = "" if seeds == 1 else f", over the root of {seeds} seeds per point"
        text += (
            f" If all {curse.points:,} points were equal, the best of them would seem "
            f"{pp(curse.expected_bias_pp)} pp better than they are, by chance alone "
            f"({curse.expected_maximum:.1f} times the spread of {pp(curse.run_std_pp)} pp between "
            f"runs{over})."
        )
    return text


def tuned_sentences(groups: Sequence[TunedGroup]) -> list[str]:
    """A sentence per group on its best point, then one on the luck of the best of several."""
    return [*map(_tuned_sentence, groups), *_luck_sentence(groups)]


def _tuned_sentence(group: TunedGroup) -> str:
    best_of = "the only point" if group.points == 1 else f"the best of {group.points:,} points"
    seen = "" if group.searched is None else f": {100 * group.searched:.2f} % of the validation images correct"
    text = f"{group.group}: {group.winner} is {best_of}{seen}{' in the search' if seen else ''}"
    if group.fresh is None:
        return f"{text}; its fresh seeds have not been run yet."
    runs = "one fresh seed" if group.n_fresh == 1 else f"{group.n_fresh} fresh seeds"
    return f"{text}; with {runs} it has {100 * group.fresh:.2f} % of the {group.fresh_split} images correct."


def _luck_sentence(groups: Sequence[TunedGroup]) -> list[str]:
    """Expected lead by chance alone, in each group."""
    known = [group for group in groups if group.expected_bias_pp is not None]
    if len(known) < len(groups) or not any(group.points > 1 for group in known):
        return []
    luck = ", ".join(f"{pp(group.expected_bias_pp or 0.0)} pp for {group.group}" for group in known)
    same = len({(group.points, group.seeds_searched) for group in known}) == 1
    verdict = (
        "which favours no group, because all had as many tries"
        if same
        else "and more tries are more luck; the fresh seeds are free of it"
    )
    return [f"If all points of a group were equal, the best would seem better by chance alone: {luck}, {verdict}."]


def _winner_leads(curse: WinnersCurse) -> str:
    best_of = "the only point" if curse.points == 1 else f"the best of {curse.points:,} points"
    seen = f"{100 * curse.searched:.2f} % of the validation images correct in the search"
    where = f"{curse.winner} is {best_of}: {seen}{_lead(curse.lead_searched_pp)}"
    if curse.fresh is None:
        return f"{where}; its fresh seeds have not been run yet"
    runs = "one fresh seed" if curse.n_fresh == 1 else f"{curse.n_fresh} fresh seeds"
    now = f"{100 * curse.fresh:.2f} % of the {curse.fresh_split} images correct{_lead(curse.lead_fresh_pp)}"
    return f"{where}; with {runs} it has {now}"


def _lead(lead: float | None) -> str:
    if lead is None:
        return ""
    return f", {pp(abs(lead))} pp {'ahead of' if lead >= 0 else 'behind'} the control"
