"""Power of the t tests: runs that detect a difference, and the smallest difference that some runs detect.

Power is that of the t test, by the noncentral t distribution (Cohen 1988, chapter 2), and of two one-sided t tests by
the same (Phillips 1990, exact except where both tails overlap, which does not happen at the powers of interest).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

from cifar_lab.analysis.stats.significance import ALPHA, FEWEST_SEEDS, POWER

MOST_SEEDS = 1_000
"""Largest number of runs that is searched."""

_FAR = 37.0
"""Standard errors beyond a bound at which a normal tail is below 1e-299."""


@dataclass(frozen=True)
class Design:
    """Layout of a comparison: paired by seed, or two groups of equal size."""

    std: float
    """Standard deviation of the differences of pairs, or the root of the sum of both groups' variances."""
    paired: bool = True

    def dof(self, n: int) -> int:
        """Degrees of freedom with n runs in each group."""
        return n - 1 if self.paired else 2 * n - 2

    def standard_error(self, n: int) -> float:
        """Standard error of the difference of means with n runs in each group."""
        return self.std / sqrt(n)


def power_to_show(difference: float, n: int, design: Design, alpha: float = ALPHA) -> float:
    """Power of the two-sided t test at `alpha` for a true `difference` with n runs in each group."""
    dof, error = design.dof(n), design.standard_error(n)
    bound, noncentrality = _t_ppf(1 - alpha / 2, dof), abs(difference) / error
    return 1 - _noncentral_t_cdf(dof, noncentrality, bound) + _noncentral_t_cdf(dof, noncentrality, -bound)


def power_of_equivalence(difference: float, margin: float, n: int, design: Design, alpha: float = ALPHA) -> float:
    """Power of two one-sided t tests at `alpha` to show that a true `difference` lies within ± `margin`."""
    dof, error = design.dof(n), design.standard_error(n)
    bound = _t_ppf(1 - alpha, dof)
    above = 1 - _noncentral_t_cdf(dof, (margin + difference) / error, bound)
    below = 1 - _noncentral_t_cdf(dof, (margin - difference) / error, bound)
    return max(0.0, above + below - 1)


def smallest_difference(n: int, design: Design, alpha: float = ALPHA, power: float = POWER) -> float:
    """Smallest true difference that n runs in each group detect with probability `power`."""
    from scipy.special import nctdtrinc

    dof = design.dof(n)
    bound = _t_ppf(1 - alpha / 2, dof)
    return float(nctdtrinc(dof, 1 - power, bound)) * design.standard_error(n)


def runs_to_show(difference: float, design: Design, alpha: float = ALPHA, power: float = POWER) -> int | None:
    """Fewest runs in each group, at least three, that detect `difference`. None beyond 1,000."""
    guess = _normal_runs(abs(difference), design, alpha / 2, power)
    return _fewest(lambda n: power_to_show(difference, n, design, alpha), power, guess)


def runs_to_tell(
    difference: float, margin: float, design: Design, alpha: float = ALPHA, power: float = POWER
) -> int | None:
    """Fewest runs in each group that detect `difference`, or show that it lies within ± `margin`. None beyond 1,000.

    Args:
        alpha: level of the test of a difference, and of that of equivalence.
    """
    shown, room = runs_to_show(difference, design, alpha, power), margin - abs(difference)
    if room <= 0:
        return shown
    guess = _normal_runs(room, design, alpha, power)
    equal = _fewest(lambda n: power_of_equivalence(difference, margin, n, design, alpha), power, guess)
    return min((n for n in (shown, equal) if n is not None), default=None)


def _normal_runs(distance: float, design: Design, tail: float, power: float) -> int:
    """Runs that a normal test of level `tail` needs for a `distance`. A t test needs a few more."""
    from scipy.special import ndtri

    if not distance or (runs := ((ndtri(power) - ndtri(tail)) * design.std / distance) ** 2) > MOST_SEEDS:
        return MOST_SEEDS
    return max(FEWEST_SEEDS, int(runs))


def _fewest(power_of: Callable[[int], float], power: float, guess: int) -> int | None:
    """Smallest n from 3 to 1,000 with `power_of(n)` at least `power`, by bisection from `guess`.

    Power rises with n, so the first n that suffices is the fewest.
    """
    low, high, step = FEWEST_SEEDS - 1, guess, 1
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


def _noncentral_t_cdf(dof: float, noncentrality: float, bound: float) -> float:
    """P(T ≤ bound) of the noncentral t distribution."""
    from scipy.special import nctdtr

    if noncentrality > max(bound, 0) + _FAR and dof > 30:
        return 0.0  # scipy returns nan in this tail
    return float(nctdtr(dof, noncentrality, bound))
