"""Power of the t tests: runs that detect a difference, and the smallest difference that some runs detect.

Power is that of the t test, by the noncentral t distribution (Cohen 1988, chapter 2), and of two one-sided t tests by
the same (Phillips 1990, exact except where both tails overlap, which does not happen at the powers of interest).

A standard deviation that is estimated may be too small by chance, and a plan that takes it as known promises too much.
Power is therefore averaged over its uncertainty: assurance (O'Hagan, Stevens and Campbell 2005). Given an estimate s
with ν degrees of freedom, σ = s √(ν / χ²_ν), and the test statistic has Lecoutre's K-prime distribution (1999).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, sqrt
from typing import TYPE_CHECKING

from cifar_lab.analysis.stats.significance import ALPHA, FEWEST_SEEDS, POWER

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_SEEDS = 1_000
"""Largest number of runs that is searched."""

_NODES = 32
"""Points of the quadrature over the standard deviation. The error of a power of 0.8 is below 0.001."""

_LARGEST_RATIO = 1e6
"""Largest difference, in standard deviations, that is searched for a power. One degree of freedom needs 15."""


@dataclass(frozen=True)
class Design:
    """Layout of a comparison: paired by seed, or two groups of equal size."""

    std: float
    """Standard deviation of the differences of pairs, or the root of the sum of both groups' variances."""
    paired: bool = True
    std_dof: float | None = None
    """Degrees of freedom from which `std` is estimated. None: it is known exactly."""
    grain: float = 0.0
    """Least variance per unit of difference: a test set does not resolve less (`Resolution`)."""

    def dof(self, n: int) -> int:
        """Degrees of freedom with n runs in each group."""
        return n - 1 if self.paired else 2 * n - 2

    def standard_error(self, n: int) -> float:
        """Standard error of the difference of means with n runs in each group."""
        return self.std / sqrt(n)


def power_to_show(difference: float, n: int, design: Design, alpha: float = ALPHA) -> float:
    """Power of the two-sided t test at `alpha` for a true `difference` with n runs in each group."""
    dof = design.dof(n)
    bound, noncentrality = _t_ppf(1 - alpha / 2, dof), abs(difference) / design.standard_error(n)

    def power(scale: NDArray[np.float64]) -> NDArray[np.float64]:
        t = noncentrality * scale
        return 1 - _noncentral_t_cdf(dof, t, bound) + _noncentral_t_cdf(dof, t, -bound)

    return _average(power, design.std_dof)


def power_of_equivalence(difference: float, margin: float, n: int, design: Design, alpha: float = ALPHA) -> float:
    """Power of two one-sided t tests at `alpha` to show that a true `difference` lies within ± `margin`."""
    dof, error = design.dof(n), design.standard_error(n)
    bound = _t_ppf(1 - alpha, dof)

    def power(scale: NDArray[np.float64]) -> NDArray[np.float64]:
        above = 1 - _noncentral_t_cdf(dof, (margin + difference) / error * scale, bound)
        below = 1 - _noncentral_t_cdf(dof, (margin - difference) / error * scale, bound)
        return (above + below - 1).clip(0)

    return _average(power, design.std_dof)


def smallest_difference(n: int, design: Design, alpha: float = ALPHA, power: float = POWER) -> float:
    """Smallest true difference that n runs in each group detect with probability `power`."""
    ratio = _smallest_ratio(n, Design(1.0, design.paired, design.std_dof), alpha, power)
    return max(ratio * design.std, _normal_ratio(alpha / 2, power, None) ** 2 * design.grain / n)


@lru_cache(maxsize=1024)
def _smallest_ratio(n: int, unit: Design, alpha: float, power: float) -> float:
    """`smallest_difference` of a design whose standard deviation is 1."""
    from scipy.special import nctdtrinc

    dof = unit.dof(n)
    known = float(nctdtrinc(dof, 1 - power, _t_ppf(1 - alpha / 2, dof))) * unit.standard_error(n)
    if unit.std_dof is None:
        return known
    return _smallest(lambda ratio: power_to_show(ratio, n, unit, alpha), power, known)


def runs_to_show(difference: float, design: Design, alpha: float = ALPHA, power: float = POWER) -> int | None:
    """Fewest runs in each group, at least three, that detect `difference`. None beyond 1,000."""
    resolved = _resolving_runs(abs(difference), design, alpha / 2, power)
    if resolved > MOST_SEEDS or not design.std:
        return resolved if resolved <= MOST_SEEDS else None
    guess = max(resolved, _normal_runs(abs(difference), design, alpha / 2, power))
    return _fewest(lambda n: power_to_show(difference, n, design, alpha), power, guess, resolved)


def runs_to_tell(
    difference: float,
    margin: float,
    design: Design,
    alpha: float = ALPHA,
    power: float = POWER,
    *,
    within: Design | None = None,
) -> int | None:
    """Fewest runs in each group that detect `difference`, or show that it lies within ± `margin`. None beyond 1,000.

    Args:
        alpha: level of the test of a difference, and of that of equivalence.
        within: layout of the test of equivalence, where its standard deviation is another.
    """
    shown, room = runs_to_show(difference, design, alpha, power), margin - abs(difference)
    if room <= 0:
        return shown
    within = within or design
    if shown is not None and power_of_equivalence(difference, margin, shown, within, alpha) < power:
        return shown
    guess = _normal_runs(room, within, alpha, power)
    equal = _fewest(lambda n: power_of_equivalence(difference, margin, n, within, alpha), power, guess)
    return min((n for n in (shown, equal) if n is not None), default=None)


def _resolving_runs(difference: float, design: Design, tail: float, power: float) -> int:
    """Runs, at least three, with which the test images resolve a `difference`. Beyond 1,000 for none."""
    if not difference:
        return MOST_SEEDS + 1
    return max(FEWEST_SEEDS, ceil(_normal_ratio(tail, power, None) ** 2 * design.grain / difference))


def _normal_runs(distance: float, design: Design, tail: float, power: float) -> int:
    """Runs that a normal test of level `tail` needs for a `distance`. A t test needs a few more."""
    units = _normal_ratio(tail, power, design.std_dof) * design.std
    if not distance or (runs := (units / distance) ** 2) > MOST_SEEDS:
        return MOST_SEEDS
    return max(FEWEST_SEEDS, int(runs))


@lru_cache(maxsize=256)
def _normal_ratio(tail: float, power: float, std_dof: float | None) -> float:
    """Distance in standard errors at which a normal test of level `tail` has `power`."""
    from scipy.special import ndtr, ndtri

    bound = -float(ndtri(tail))
    known = bound + float(ndtri(power))
    if std_dof is None:
        return known
    return _smallest(lambda ratio: _average(lambda scale: ndtr(ratio * scale - bound), std_dof), power, known)


def _smallest(power_of: Callable[[float], float], power: float, start: float) -> float:
    """Smallest ratio above `start` with `power_of(ratio)` at least `power`, by bisection."""
    low = high = start
    while power_of(high) < power and high < _LARGEST_RATIO:
        low, high = high, 2 * high
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if power_of(middle) >= power else (middle, high)
    return high


def _fewest(power_of: Callable[[int], float], power: float, guess: int, fewest: int = FEWEST_SEEDS) -> int | None:
    """Smallest n from `fewest` to 1,000 with `power_of(n)` at least `power`, by bisection from `guess`.

    Power rises with n, so the first n that suffices is the fewest.
    """
    low, high, step = fewest - 1, guess, 1
    while power_of(high) < power:
        if high >= MOST_SEEDS:
            return None
        low, high, step = high, min(high + step, MOST_SEEDS), 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle) >= power else (middle, high)
    return high


def _t_ppf(probability: float, dof: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(dof, probability))


def _noncentral_t_cdf(dof: float, noncentrality: NDArray[np.float64], bound: float) -> NDArray[np.float64]:
    """P(T ≤ bound) of the noncentral t distribution."""
    import numpy as np
    from scipy.special import nctdtr

    # scipy returns nan in the far tail, where nothing is left
    below: NDArray[np.float64] = np.nan_to_num(nctdtr(dof, noncentrality, bound), nan=0.0)
    return below


def _average(power: Callable[[NDArray[np.float64]], NDArray[np.float64]], std_dof: float | None) -> float:
    """Mean of `power` over the ratio of the estimated to the true standard deviation."""
    import numpy as np

    if std_dof is None:
        return float(power(np.ones(1))[0])
    ratios, weights = _std_ratios(std_dof)
    return float(power(ratios) @ weights)


@lru_cache(maxsize=256)
def _std_ratios(dof: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(ratios, weights) of s / σ, which is √(χ²_dof / dof): Gauss-Legendre nodes of its distribution function."""
    import numpy as np
    from scipy.special import gammaincinv

    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return np.sqrt(2 * gammaincinv(dof / 2, (1 + nodes) / 2) / dof), weights / 2
