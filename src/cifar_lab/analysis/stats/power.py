"""How many runs show a difference, and how small a difference some runs can show.

Power is that of the t test, by the noncentral t distribution (Cohen 1988, chapter 2), and of two one-sided t tests by
the same (Phillips 1990: exact but for pairs of tails that never meet at the powers of interest).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

from cifar_lab.analysis.stats.levels import ALPHA, FEWEST_SEEDS, POWER

MOST_SEEDS = 1_000
"""Where the search for a number of runs gives up."""

_FAR = 37.0
"""Standard errors beyond a bound at which a normal tail is below 1e-299."""


@dataclass(frozen=True)
class Design:
    """How runs are compared: `paired` by seed, else two groups of the same size; `spread` is the standard deviation of
    the differences of pairs, or the root of the sum of both groups' variances."""

    spread: float
    paired: bool = True

    def degrees(self, n: int) -> int:
        """Degrees of freedom with n runs on each side."""
        return n - 1 if self.paired else 2 * n - 2

    def standard_error(self, n: int) -> float:
        """Of the difference of means, with n runs on each side."""
        return self.spread / sqrt(n)


def power_to_show(difference: float, n: int, design: Design, alpha: float = ALPHA) -> float:
    """Chance that the two-sided t test at `alpha` shows a true `difference` with n runs on each side."""
    degrees, error = design.degrees(n), design.standard_error(n)
    bound, shift = _t_bound(1 - alpha / 2, degrees), abs(difference) / error
    return 1 - _noncentral(degrees, shift, bound) + _noncentral(degrees, shift, -bound)


def power_of_equivalence(difference: float, margin: float, n: int, design: Design, alpha: float = ALPHA) -> float:
    """Chance that two one-sided t tests at `alpha` show a true `difference` to lie within ± `margin`."""
    degrees, error = design.degrees(n), design.standard_error(n)
    bound = _t_bound(1 - alpha, degrees)
    above = 1 - _noncentral(degrees, (margin + difference) / error, bound)
    below = 1 - _noncentral(degrees, (margin - difference) / error, bound)
    return max(0.0, above + below - 1)


def smallest_difference(n: int, design: Design, alpha: float = ALPHA, power: float = POWER) -> float:
    """Smallest true difference that n runs on each side show with chance `power`."""
    from scipy.special import nctdtrinc

    degrees = design.degrees(n)
    bound = _t_bound(1 - alpha / 2, degrees)
    return float(nctdtrinc(degrees, 1 - power, bound)) * design.standard_error(n)


def runs_to_show(difference: float, design: Design, alpha: float = ALPHA, power: float = POWER) -> int | None:
    """Fewest runs on each side, at least three, that show `difference`; None beyond 1,000."""
    guess = _normal_runs(abs(difference), design, alpha / 2, power)
    return _fewest(lambda n: power_to_show(difference, n, design, alpha), power, guess)


def runs_to_tell(
    difference: float, margin: float, design: Design, alpha: float = ALPHA, power: float = POWER
) -> int | None:
    """Fewest runs on each side that tell, one way or the other: that show `difference`, or that it lies within ±
    `margin`; None beyond 1,000.

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
    """Runs with which a normal test whose tail is `tail` sees a `distance`: a t test needs a few more."""
    from scipy.special import ndtri

    if not distance or (runs := ((ndtri(power) - ndtri(tail)) * design.spread / distance) ** 2) > MOST_SEEDS:
        return MOST_SEEDS
    return max(FEWEST_SEEDS, int(runs))


def _fewest(chance: Callable[[int], float], power: float, guess: int) -> int | None:
    """Smallest n from 3 to 1,000 with `chance(n)` at least `power`, which rises with n; `guess` is where to begin."""
    low, high, step = FEWEST_SEEDS - 1, guess, 1
    while chance(high) < power:
        if high >= MOST_SEEDS:
            return None
        low, high, step = high, min(high + step, MOST_SEEDS), 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(middle) >= power else (middle, high)
    return high


def _t_bound(probability: float, degrees: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))


def _noncentral(degrees: float, shift: float, bound: float) -> float:
    """P(T ≤ bound) of the noncentral t; scipy has no number where the tail is nothing."""
    from scipy.special import nctdtr

    if shift > max(bound, 0) + _FAR and degrees > 30:
        return 0.0
    return float(nctdtr(degrees, shift, bound))
