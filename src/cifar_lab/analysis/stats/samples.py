"""One sample: t interval, pooled standard deviation, expected maximum."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import sqrt
from statistics import fmean, stdev, variance

from cifar_lab.analysis.stats.significance import LEVEL


def t_critical(level: float, dof: float) -> float:
    """Half width of a two-sided t interval at `level`, in standard errors."""
    from scipy.special import stdtrit

    return float(stdtrit(dof, (1 + level) / 2))


def t_interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float] | None:
    """Student's confidence interval of the mean (1908). None below two values, of width 0 where all are equal."""
    n = len(values)
    if n < 2:
        return None
    mean, half = fmean(values), t_critical(level, n - 1) * stdev(values) / sqrt(n)
    return mean - half, mean + half


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
