"""Sentences on claims: what a claim says, and the numbers that it is held against."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar_lab.analysis.evidence_words import p_words, pp
from cifar_lab.analysis.sentences import lost_sentence, warning_sentences
from cifar_lab.analysis.stats.significance import FEWEST_SEEDS
from cifar_lab.core.text import count, plain

if TYPE_CHECKING:
    from cifar_lab.analysis.held_claims import HeldClaim


def claim_sentence(held: HeldClaim) -> str:
    """The claim in the words of its owner, else in those of its keys."""
    claim, row, other = held.claim, held.row, held.other
    if claim.claim:
        return plain(claim.claim)
    if other is None:
        bound = claim.accuracy_at_least
        side, share = ("most", claim.accuracy_at_most) if bound is None else ("least", bound)
        return f"{row.label} has a mean test accuracy of at {side} {share:g}."
    if claim.equal_to is not None:
        return f"{row.label} and {other.label} differ by less than {claim.within:g} pp."
    how = "better" if claim.better_than is not None else "worse"
    by = f" by at least {claim.by_at_least:g} pp" if claim.by_at_least else ""
    return f"{row.label} is {how} than {other.label}{by}."


def evidence(held: HeldClaim) -> str:
    """The numbers that a claim is held against, or the reason why there is no test."""
    if reason := _no_test(held):
        return reason
    return f"{_of_arms(held) if held.comparison is not None else _of_arm(held)}, {p_words(held.p_holm or 0.0)}."


def warnings(held: HeldClaim) -> str:
    """Warnings beside the evidence. Empty where there are none."""
    if held.comparison is None or held.other is None:
        return lost_sentence(held.row).strip()
    return warning_sentences(held.comparison, held.row, held.other)


def _no_test(held: HeldClaim) -> str:
    """Reason for no test. Empty where there was one."""
    if held.p is not None:
        return ""
    rows = [row for row in (held.row, held.other) if row is not None]
    if held.other is not None and held.row.is_same_runs(held.other):
        return f"{held.row.label} and {held.other.label} are the same runs."
    few = [f"{row.label} has {count(row.n, 'tested run') if row.n else 'no tested runs'}" for row in rows
           if row.n < FEWEST_SEEDS]  # fmt: skip
    if few:
        return f"{' and '.join(few)}, and a claim needs at least {FEWEST_SEEDS}."
    return f"The runs share too few seeds, and a claim needs at least {FEWEST_SEEDS} pairs."


def _of_arms(held: HeldClaim) -> str:
    found = held.comparison
    assert found is not None
    assert found.difference is not None
    text = f"The difference is {pp(found.difference, sign=True)} pp"
    if found.low is not None and found.high is not None:
        text += f", {found.level_words} interval {pp(found.low, sign=True)} to {pp(found.high, sign=True)}"
    runs = f"{found.n} pairs" if found.method == "paired" else f"{found.n} and {found.n_control} runs"
    return f"{text}, {runs}"


def _of_arm(held: HeldClaim) -> str:
    row = held.row
    assert row.mean is not None
    text = f"The mean is {row.mean:.4f}"
    if row.interval is not None:
        text += f", 95 % interval {row.interval[0]:.4f} to {row.interval[1]:.4f}"
    return f"{text}, {count(row.n, 'run')}"
