"""Error rates of the verdicts, and Holm's correction for several comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALPHA = 0.05
"""Family-wise error rate: probability of any false *better* or *worse* in a report."""

LEVEL = 1 - ALPHA
"""Confidence level of an interval."""

POWER = 0.8
"""Probability of detecting a true difference, for which seeds are counted (Cohen 1988)."""

FEWEST_SEEDS = 3
"""Runs that a verdict needs. With two, a 95 % interval is 9 standard deviations to each side."""

ZERO_STD = 1e-9
"""Standard deviation of accuracies (shares) that counts as zero. One image of a million is 1e-6, rounding is less."""


@dataclass(frozen=True)
class AdjustedP:
    """A p value, corrected for the others of its family."""

    p: float
    """Adjusted p: at most α where Holm's procedure rejects at α."""
    divisor: int
    """Divisor of α in Holm's procedure: the number of comparisons whose p is not smaller."""


def holm(p_values: Sequence[float | None]) -> list[AdjustedP | None]:
    """Apply Holm's step-down correction (1979), in the order given. None stays None and counts in no divisor.

    Equal p values stay equal, and the order of the others is kept.
    """
    ranked = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[AdjustedP | None] = [None] * len(p_values)
    highest, divisor, previous = 0.0, len(ranked), None
    for rank, (p, index) in enumerate(ranked):
        divisor = divisor if p == previous else len(ranked) - rank  # tied p values share the larger divisor
        highest, previous = max(highest, min(1.0, p * divisor)), p  # an adjusted p never falls below the one before
        adjusted[index] = AdjustedP(highest, divisor)
    return adjusted
