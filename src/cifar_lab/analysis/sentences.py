"""Answers in words. Each sentence can be quoted in a report unchanged."""

from __future__ import annotations

from collections.abc import Sequence

from cifar_lab.analysis.answers import Answer, Comparison
from cifar_lab.analysis.evidence_words import distance_words, interval_ends, p_name, p_words, rests_on
from cifar_lab.analysis.stats.significance import ALPHA, FEWEST_SEEDS, ZERO_STD
from cifar_lab.analysis.summary import Row
from cifar_lab.analysis.winner_sentences import selection_sentences
from cifar_lab.core.text import count

SHOWN_RUNS = 5
"""Runs that a sentence names."""


def answer_sentences(answer: Answer) -> tuple[str, ...]:
    """The answer in words: the bias of a sweep's winner, then a sentence per comparison."""
    return (*selection_sentences(answer), *comparison_sentences(answer))


def comparison_sentences(answer: Answer) -> list[str]:
    """A sentence per comparison, in the order of the rows."""
    pairs = zip(answer.comparisons, answer.rows[1:], strict=False)
    return [comparison_sentence(comparison, row, answer.control) for comparison, row in pairs]


def pair_sentences(others: Sequence[Answer]) -> list[str]:
    """A sentence per pair of groups beside the control, where both have runs."""
    return [sentence for answer in others if answer.is_answered for sentence in comparison_sentences(answer)]


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


def _unmeasured(row: Row, control: Row) -> str:
    """Sentence on a row without accuracy or with only one run. Empty if both can be compared."""
    for each, rest in ((row, ""), (control, f", so {row.label} cannot be compared")):
        if each.mean is None:
            if each.diverged:
                return f"{each.label}: {_all(len(each.diverged))} diverged{rest}."
            return f"{each.label}: {each.missing_words}{rest}."
    if row.n == 1:
        return f"{row.label}: one run."
    return f"{control.label}: one run, so {row.label} cannot be compared." if control.n == 1 else ""


def _all(runs: int) -> str:
    return "its run" if runs == 1 else f"all {runs} runs"


def _withheld(comparison: Comparison, row: Row) -> str:
    """Sentence on a row whose verdict is withheld. Empty where it may get one."""
    if not row.withheld or comparison.difference is None:
        return ""
    far = f"{comparison.arm}: {distance_words(comparison)} {comparison.control} ({rests_on(comparison)})"
    return f"{far}; no verdict, because they have {row.withheld}."


def _few(comparison: Comparison) -> str:
    """Sentence on too few runs for a verdict. Empty if they suffice."""
    if comparison.verdict != "no verdict":
        return ""
    n = min(comparison.n, comparison.n_control)
    return (
        f"{comparison.arm}: {distance_words(comparison)} {comparison.control} ({rests_on(comparison)}); "
        f"{_number(n)} are too few for a verdict, which needs at least {FEWEST_SEEDS}."
    )


def _number(n: int) -> str:
    return "two runs" if n == 2 else f"{n} runs"


def _measured(comparison: Comparison, row: Row) -> str:
    arm, control, gap = comparison.arm, comparison.control, comparison.difference
    assert gap is not None
    if comparison.verdict == "equivalent":
        return _equivalent(comparison)
    if comparison.verdict in ("better", "worse"):
        size = comparison.scale.difference(abs(gap))
        low, high = interval_ends(comparison)
        around = f"{comparison.level_words} {low} to {high}; " if low else ""
        return f"{arm} is {comparison.verdict} than {control} by {size} ({around}{rests_on(comparison, False)})."
    words = f"Undecided: {arm} is {distance_words(comparison)} {control} ({rests_on(comparison)})"
    return f"{words}; {_what_would_tell(comparison, row)}.{_caution(comparison)}"


def _equivalent(comparison: Comparison) -> str:
    arm, control, gap = comparison.arm, comparison.control, comparison.difference
    assert gap is not None
    within = f"equivalent within {comparison.scale.bound(comparison.min_effect)}"
    if comparison.ties == len(comparison.seeds) and comparison.method == "paired":
        seeds = len(comparison.seeds)
        p = comparison.p_equivalence_holm
        large = f" ({p_words(p, p_name(comparison) + ' of a larger one')})" if p is not None else ""
        return f"{arm} has the accuracy of {control} in each of {seeds} shared seeds: {within}{large}."
    shown = comparison.p_holm is not None and comparison.p_holm <= ALPHA
    which = f"; the difference is negligible, but real: {'for' if gap > 0 else 'against'} {arm}"
    size = comparison.scale.difference(gap, sign=True)
    return (
        f"{arm} and {control} are {within}: the difference is {size} ({rests_on(comparison)}){which if shown else ''}."
    )


def _what_would_tell(comparison: Comparison, row: Row) -> str:
    if comparison.look == 0:
        return "the earlier looks cannot be read, and without them there is no verdict"
    if comparison.to_decide:
        until = " until it is decided" if "--until-decided" in comparison.to_decide else " for the next report"
        return f"`{comparison.to_decide}` adds seeds{until}"
    if comparison.seeds_more is not None and row.not_attacked:
        return f"more seeds are needed: attack its {count(row.not_attacked, 'remaining run')}"
    if comparison.seeds_more is not None and row.is_attacked:
        return "more seeds are needed: train them, then attack them"
    if comparison.seeds_more is not None:
        return "more seeds are needed, which `run --until-decided` adds to a question of arms in a lab file"
    if comparison.low is None:
        return "the runs of each arm have no spread, so the number of seeds to decide is unknown"
    return "more than 1,000 more seeds would be needed to decide"


def _caution(comparison: Comparison) -> str:
    """Reason why an interval without 0 is no answer, or the smallest difference that these seeds detect."""
    low, high, smallest = comparison.low, comparison.high, comparison.smallest_shown
    outside = low is not None and high is not None and (low > 0 or high < 0)
    if outside and comparison.family > 1:
        family = comparison.family
        return f" Its interval excludes 0, but with {family} comparisons this happens too easily by chance."
    if smallest is None:
        return ""
    seeds = min(comparison.n, comparison.n_control)
    known = "the uncertainty of the spread is included"
    scale = comparison.scale
    under = f"a difference under {scale.difference(smallest)}"
    size = under if smallest <= scale.factor * scale.highest else "any difference"
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
