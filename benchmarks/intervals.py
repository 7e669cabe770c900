"""An interval of the median of a few numbers that assumes nothing about how they are distributed.

With n independent numbers, the number of them below their distribution's median is binomial(n, 1/2). So the k-th
smallest and the k-th largest enclose the median with probability 1 − 2 · P(fewer than k below), whatever the
distribution (Conover, Practical Nonparametric Statistics, 3rd ed., section 3.2). Seven pairs give [smallest, largest]
with 98.4 %.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

COVERAGE = 0.95
"""That an interval has at least, where there are numbers enough: six."""


@dataclass(frozen=True)
class MedianInterval:
    """A median and what encloses it."""

    median: float
    low: float
    high: float
    coverage: float
    """Probability that such an interval encloses the median."""


def median_interval(numbers: Sequence[float]) -> MedianInterval:
    """The narrowest symmetric interval of order statistics with COVERAGE, or of all numbers where that is less.

    Raises:
        ValueError: no numbers.
    """
    if not numbers:
        raise ValueError("no numbers: there is no median")
    ordered, count = sorted(numbers), len(numbers)
    rank = 1
    while rank < (count + 1) // 2 and _coverage(count, rank + 1) >= COVERAGE:
        rank += 1
    low, high = ordered[rank - 1], ordered[count - rank]
    return MedianInterval(statistics.median(ordered), low, high, _coverage(count, rank))


def _coverage(count: int, rank: int) -> float:
    """Of the interval from the `rank`-th smallest to the `rank`-th largest of `count` numbers."""
    below = sum(math.comb(count, k) for k in range(rank))
    return max(0.0, 1 - 2 * float(below) / float(2**count))
