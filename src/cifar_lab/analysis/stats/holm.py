"""Several comparisons at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Adjusted:
    """A p value among others."""

    p: float
    """Adjusted: at most α where Holm's procedure rejects at α."""
    divisor: int
    """What Holm divides α by for this one: the comparisons whose p is not smaller."""


def holm(p_values: Sequence[float | None]) -> list[Adjusted | None]:
    """Holm's step-down adjustment (1979), in the order given; None stays None and is counted in no divisor.

    Equal p values are equal after it, and the order of the others is kept.
    """
    ranked = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[Adjusted | None] = [None] * len(p_values)
    highest, divisor, before = 0.0, len(ranked), None
    for rank, (p, place) in enumerate(ranked):
        divisor = divisor if p == before else len(ranked) - rank
        highest, before = max(highest, min(1.0, p * divisor)), p
        adjusted[place] = Adjusted(highest, divisor)
    return adjusted
