"""Error rates of the verdicts, Holm's correction, and the t interval and pooled deviation of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from statistics import fmean, stdev, variance

ALPHA = 0.05
"""Family-wise error rate: probability of any false *better* or *worse* in a report."""

FIRST_LOOK_ALPHA = 0.03
"""Level of the tests at the first look at two arms. The looks that follow share the rest of `ALPHA`."""

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


def t_critical(level: float, dof: float) -> float:
    """Half width of a two-sided t interval at `level`, in standard errors."""
    from scipy.special import stdtrit

    return float(stdtrit(dof, (1 + level) / 2))


def t_interval(values: Sequence[float], level: float = LEVEL, *, step: float = 0.0) -> tuple[float, float] | None:
    """Student's confidence interval of the mean (1908). None below two values.

    Args:
        step: of the values. Their standard deviation is taken as at least that of rounding to it, step / √12 (Sheppard
            1898, and section F.2.2.1 of the GUM 2008). With 0 the interval of equal values has width 0.
    """
    n = len(values)
    if n < 2:
        return None
    mean, half = fmean(values), t_critical(level, n - 1) * max(stdev(values), step / sqrt(12)) / sqrt(n)
    return mean - half, mean + half


def mean_p(values: Sequence[float], value: float, *, step: float = 0.0) -> float | None:
    """Two-sided p of the t test that the mean is `value`, with the standard deviation of `t_interval`.

    None below two values. 0 for equal values without a step, unless they are `value`.
    """
    n = len(values)
    if n < 2:
        return None
    distance, error = abs(fmean(values) - value), max(stdev(values), step / sqrt(12)) / sqrt(n)
    if distance <= ZERO_STD or error <= ZERO_STD:
        return 1.0 if distance <= ZERO_STD else 0.0
    from scipy.special import stdtr

    return 2 * float(stdtr(n - 1, -distance / error))


def pooled_std(samples: Sequence[Sequence[float]]) -> tuple[float, int] | None:
    """(standard deviation within samples, its degrees of freedom). None where no sample has two values."""
    kept = [sample for sample in samples if len(sample) > 1]
    dof = sum(len(sample) - 1 for sample in kept)
    if not dof:
        return None
    return sqrt(sum(variance(sample) * (len(sample) - 1) for sample in kept) / dof), dof


@lru_cache(maxsize=64)
def expected_maximum(count: int) -> float:
    """Expected maximum of `count` independent standard normal numbers (Tippett 1925): 0 for one, 2.5 for 100.

    Raises:
        ValueError: `count` is below one.
    """
    if count < 1:
        raise ValueError("of no numbers there is no largest")
    from math import expm1, log1p

    from scipy.integrate import quad
    from scipy.special import ndtr

    def tail_difference(x: float) -> float:
        """P(max > x) - P(max < -x), whose integral over x > 0 is the mean of the maximum."""
        return float(-expm1(count * log1p(-ndtr(-x))) - ndtr(-x) ** count)

    return float(quad(tail_difference, 0, 12, epsabs=1e-12, epsrel=1e-12)[0])  # nothing is left at 12
