"""Answers in words. Each sentence can be quoted in a report unchanged."""

from __future__ import annotations

from collections.abc import Sequence

from cifar_lab.analysis.answers import Answer, Comparison
from cifar_lab.analysis.selection_bias import TunedGroup, WinnersCurse
from cifar_lab.analysis.stats.significance import ALPHA, FEWEST_SEEDS, ZERO_STD
from cifar_lab.analysis.summary import Row
from cifar_lab.core.text import count

SHOWN_RUNS = 5
"""Runs that a sentence names."""


def answer_sentences(answer: Answer) -> tuple[str, ...]:
    """The answer in words: the bias of a sweep's winner, then a sentence per comparison."""
    return (*selection_sentences(answer), *comparison_sentences(answer))


def selection_sentences(answer: Answer) -> list[str]:
    """Bias of a sweep's winner, or the best point of each group with the luck of the choice. Empty without a sweep."""
    return [winner_sentence(answer.selection_bias)] if answer.selection_bias else tuned_sentences(answer.tuned)


def comparison_sentences(answer: Answer) -> list[str]:
    """A sentence per comparison, in the order of the rows."""
    pairs = zip(answer.comparisons, answer.rows[1:], strict=False)
    return [comparison_sentence(comparison, row, answer.control) for comparison, row in pairs]


def comparison_sentence(comparison: Comparison, row: Row, control: Row) -> str:
    """Answer to *is this arm better than its control?*"""
    arm, other = row.label, control.label
    if row.is_same_runs(control):
        return f"{arm} and {other} {_sameness(row, control)}: they are the same runs."
    text = _unmeasured(row, control) or _withheld(comparison, row) or _few(comparison) or _measured(comparison, row)
    return text + _warnings(comparison, row, control)


def warning_sentences(comparison: Comparison, row: Row, control: Row) -> str:
    """Warnings that stand beside a verdict without its evidence. Empty where there are none."""
    return "" if row.is_same_runs(control) else _warnings(comparison, row, control).strip()


def _warnings(comparison: Comparison, row: Row, control: Row) -> str:
    return (
        _stuck(row, control) + lost_sentence(row) + lost_sentence(control) + _gone(comparison) + _forgotten(comparison)
    )


def _sameness(row: Row, control: Row) -> str:
    """Reason why both are the same runs."""
    if row.run_ids == control.run_ids:
        return "have the same settings"
    shared = len(dict(row.values).keys() & dict(control.values).keys())
    return (
        f"made the same predictions, bit for bit, in {f'each of {shared} shared seeds' if shared > 1 else 'their seed'}"
    )


def pp(value: float, *, sign: bool = False) -> str:
    """Percentage points: `0.31`, or `+0.31` and `−0.31`."""
    shown = round(value, 2) + 0.0  # no negative zero
    text = f"{shown:+.2f}" if sign and shown else f"{shown:.2f}"
    return text.replace("-", "−")


def p_words(p: float, name: str = "p") -> str:
    """`p = .031`, `p < .001`."""
    if p < 0.001:
        return f"{name} < .001"
    return f"{name} = {f'{p:.3f}'.removeprefix('0')}" if p < 0.9995 else f"{name} = 1"


def _unmeasured(row: Row, control: Row) -> str:
    """Sentence on a row without accuracy or with only one run. Empty if both can be compared."""
    for each, rest in ((row, ""), (control, f", so {row.label} cannot be compared")):
        if each.mean is None:
            if each.diverged:
                return f"{each.label}: {_all(len(each.diverged))} diverged{rest}."
            return f"{each.label}: no runs yet{rest}."
    if row.n == 1:
        return f"{row.label}: one run."
    return f"{control.label}: one run, so {row.label} cannot be compared." if control.n == 1 else ""


def _all(runs: int) -> str:
    return "its run" if runs == 1 else f"all {runs} runs"


def _withheld(comparison: Comparison, row: Row) -> str:
    """Sentence on a row whose verdict is withheld. Empty where it may get one."""
    if not row.withheld or comparison.difference_pp is None:
        return ""
    far = f"{comparison.arm}: {_far(comparison)} {comparison.control} ({_rests_on(comparison)})"
    return f"{far}; no verdict, because they have {row.withheld}."


def _few(comparison: Comparison) -> str:
    """Sentence on too few runs for a verdict. Empty if they suffice."""
    if comparison.verdict != "no verdict":
        return ""
    n = min(comparison.n, comparison.n_control)
    return (
        f"{comparison.arm}: {_far(comparison)} {comparison.control} ({_rests_on(comparison)}); {_number(n)} are too "
        f"few for a verdict, which needs at least {FEWEST_SEEDS}."
    )


def _number(n: int) -> str:
    return "two runs" if n == 2 else f"{n} runs"


def _measured(comparison: Comparison, row: Row) -> str:
    arm, control, gap = comparison.arm, comparison.control, comparison.difference_pp
    assert gap is not None
    if comparison.verdict == "equivalent":
        return _equivalent(comparison)
    if comparison.verdict in ("better", "worse"):
        size = pp(abs(gap))
        low, high = _ends(comparison)
        around = f"{comparison.level_words} {low} to {high}; " if low else ""
        return f"{arm} is {comparison.verdict} than {control} by {size} pp ({around}{_rests_on(comparison, False)})."
    words = f"Undecided: {arm} is {_far(comparison)} {control} ({_rests_on(comparison)})"
    return f"{words}; {_what_would_tell(comparison, row)}.{_caution(comparison)}"


def _ends(comparison: Comparison) -> tuple[str, str]:
    """Interval of the absolute difference. Empty where none is known."""
    if comparison.low_pp is None or comparison.high_pp is None or comparison.difference_pp is None:
        return "", ""
    low, high = (comparison.low_pp, comparison.high_pp)
    low, high = (low, high) if comparison.difference_pp >= 0 else (-high, -low)
    return pp(low), pp(high)


def _equivalent(comparison: Comparison) -> str:
    arm, control, gap = comparison.arm, comparison.control, comparison.difference_pp
    assert gap is not None
    within = f"equivalent within {comparison.min_effect_pp:g} pp"
    if comparison.ties == len(comparison.seeds) and comparison.method == "paired":
        seeds = len(comparison.seeds)
        p = comparison.p_equivalence_holm
        large = f" ({p_words(p, _p_name(comparison) + ' of a larger one')})" if p is not None else ""
        return f"{arm} has the accuracy of {control} in each of {seeds} shared seeds: {within}{large}."
    shown = comparison.p_holm is not None and comparison.p_holm <= ALPHA
    which = f"; the difference is negligible, but real: {'for' if gap > 0 else 'against'} {arm}"
    return (
        f"{arm} and {control} are {within}: the difference is {pp(gap, sign=True)} pp ({_rests_on(comparison)})"
        f"{which if shown else ''}."
    )


def _far(comparison: Comparison) -> str:
    gap = comparison.difference_pp
    assert gap is not None
    if abs(gap) <= 100 * ZERO_STD:
        return "level with"
    return f"{pp(abs(gap))} pp {'above' if gap > 0 else 'below'}"


def _rests_on(comparison: Comparison, interval: bool = True) -> str:
    """Evidence in brackets: interval, runs, p."""
    parts = []
    if interval and comparison.low_pp is not None and comparison.high_pp is not None:
        parts.append(f"{comparison.level_words} {pp(comparison.low_pp)} to {pp(comparison.high_pp)}")
    if comparison.low_pp is None and comparison.method == "paired":
        parts.append("the same in every seed, so there is no interval")
    elif comparison.is_resolution_limited:
        parts.append("spread below what the test images resolve")
    if comparison.method == "paired":
        parts.append(
            f"{comparison.n} shared seeds" + ("" if comparison.is_whole else ", runs without a partner left out")
        )
    else:
        few = "too few shared seeds" if comparison.seeds else "no shared seeds"
        parts.append(f"{comparison.n} and {comparison.n_control} runs with {few}")
    name = _p_name(comparison)
    if comparison.verdict == "equivalent" and comparison.p_equivalence_holm is not None:
        parts.append(p_words(comparison.p_equivalence_holm, f"{name} of a larger one"))
    elif comparison.p_holm is not None:
        parts.append(p_words(comparison.p_holm, name))
    if comparison.look is not None and comparison.look > 1:
        parts.append(f"look {comparison.look}")
    return "; ".join(parts)


def _p_name(comparison: Comparison) -> str:
    return "Holm p" if comparison.family > 1 else "adjusted p"


def _what_would_tell(comparison: Comparison, row: Row) -> str:
    if comparison.look == 0:
        return "the earlier looks cannot be read, and without them there is no verdict"
    if comparison.to_decide:
        until = " until it is decided" if "--until-decided" in comparison.to_decide else " for the next report"
        return f"`{comparison.to_decide}` adds seeds{until}"
    if comparison.seeds_more is not None and row.is_attacked:
        return "more seeds are needed: train them, then attack them"
    if comparison.seeds_more is not None:
        return "more seeds are needed, which `run --until-decided` adds to a question of arms in a lab file"
    if comparison.low_pp is None:
        return "the runs of each arm have no spread, so the number of seeds to decide is unknown"
    return "more than 1,000 more seeds would be needed to decide"


def _caution(comparison: Comparison) -> str:
    """Reason why an interval without 0 is no answer, or the smallest difference that these seeds detect."""
    low, high, smallest = comparison.low_pp, comparison.high_pp, comparison.smallest_shown_pp
    outside = low is not None and high is not None and (low > 0 or high < 0)
    if outside and comparison.family > 1:
        family = comparison.family
        return f" Its interval excludes 0, but with {family} comparisons this happens too easily by chance."
    if smallest is None:
        return ""
    seeds = min(comparison.n, comparison.n_control)
    known = "the uncertainty of the spread is included"
    size = f"a difference under {pp(smallest)} pp" if smallest <= 100 else "any difference"
    return f" With {seeds} seeds {size} can easily be missed; {known}."


def _stuck(row: Row, control: Row) -> str:
    """Warning where no run differs from any other."""
    values = [accuracy for each in (row, control) for _, accuracy in each.values]
    if min(row.n, control.n) < 2 or max(values) - min(values) > ZERO_STD:
        return ""
    return " All runs of both arms have the same accuracy, so perhaps nothing was learnt: check the learning curves."


def lost_sentence(row: Row) -> str:
    """Runs that the comparison leaves out because they have no accuracy."""
    parts = []
    if row.diverged and row.mean is not None:
        parts.append(f"{len(row.diverged)} of {row.attempts} diverged")
    if row.without_score:
        parts.append(f"{len(row.without_score)} ended without a finite test accuracy")
    if row.unfinished and row.mean is not None:
        parts.append(f"{len(row.unfinished)} {'has' if len(row.unfinished) == 1 else 'have'} no result yet")
    return f" Of the runs of {row.label}, {' and '.join(parts)}: they are not part of any mean." if parts else ""


def _gone(comparison: Comparison) -> str:
    """Warning about runs that an earlier look counted and that have no record any more."""
    removed = comparison.removed
    gone = [run_id for run_id in comparison.gone if run_id not in removed]
    text = f" {count(len(removed), 'run')} removed after an earlier look: {_ids(removed)}." if removed else ""
    if not gone:
        return text
    return (
        f"{text} {count(len(gone), 'run')} of an earlier look {'is' if len(gone) == 1 else 'are'} gone: {_ids(gone)}."
    )


def _ids(runs: Sequence[str]) -> str:
    return ", ".join(runs[:SHOWN_RUNS]) + (", …" if len(runs) > SHOWN_RUNS else "")


def _forgotten(comparison: Comparison) -> str:
    """Warning where later looks will not know of this one."""
    if comparison.look_remembered:
        return ""
    return " This look was not remembered, because the results folder cannot be written."


# --- the winner of a sweep --------------------------------------------------------------------------------------------


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
