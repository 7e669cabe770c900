"""One sample: its t interval, and a spread pooled over several."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import fmean, stdev, variance

from cifar_lab.analysis.stats.levels import LEVEL


def t_quantile(level: float, degrees: float) -> float:
    """Half the width of a two-sided interval at `level`, in standard errors."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + level) / 2))


def t_interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float] | None:
    """Student's interval of the mean (1908); None below two values. Its width is 0 where all values are equal."""
    n = len(values)
    if n < 2:
        return None
    mean, half = fmean(values), t_quantile(level, n - 1) * stdev(values) / sqrt(n)
    return mean - half, mean + half


def pooled_spread(samples: Sequence[Sequence[float]]) -> tuple[float, int] | None:
    """(standard deviation within samples, its degrees of freedom); None where no sample has two values."""
    kept = [sample for sample in samples if len(sample) > 1]
    degrees = sum(len(sample) - 1 for sample in kept)
    if not degrees:
        return None
    return sqrt(sum(variance(sample) * (len(sample) - 1) for sample in kept) / degrees), degrees
