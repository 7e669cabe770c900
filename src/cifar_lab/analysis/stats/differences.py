"""How far one group of runs is above another: paired by seed, or Welch's.

Units are those of the values. Sources: Student (1908); Welch (1947), with the degrees of freedom of Satterthwaite
(1946); sign flips: Fisher (1935), The Design of Experiments, section 21; two one-sided tests: Schuirmann (1987).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import sqrt
from statistics import fmean, stdev, variance
from typing import Literal

from cifar_lab.analysis.stats.levels import FEWEST_SEEDS, NO_SPREAD
from cifar_lab.analysis.stats.samples import t_quantile

MOST_FLIPPED = 12
"""Pairs up to which all sign patterns are tried: 4,096 of them."""


@dataclass(frozen=True)
class Difference:
    """Mean of one group less that of another, and what is known of its error."""

    mean: float
    method: Literal["paired", "welch", "none"]
    """`none`: one of the groups has a single run, so no spread is known."""
    n: int
    """Runs of the first group in it; pairs where the method is paired."""
    n_other: int
    seeds: tuple[int, ...]
    """Seeds that both have."""
    each: tuple[float, ...]
    """Difference of each shared seed, in the order of `seeds`."""
    spread: float | None
    """Paired: sample standard deviation of `each`. Welch: root of the sum of both variances."""
    standard_error: float | None
    degrees: float | None
    won: float
    """Share of the pairs (Welch: of all pairs of runs) in which the first is ahead; a tie counts half."""
    ties: int
    """Shared seeds with equal values."""

    @property
    def has_spread(self) -> bool:
        """Whether there is a spread to measure the difference with."""
        return self.standard_error is not None and self.standard_error > NO_SPREAD

    @property
    def runs(self) -> int:
        """Runs of the smaller group."""
        return min(self.n, self.n_other)

    @property
    def effect_size(self) -> float | None:
        """Paired: Cohen's d_z, the mean in units of the spread."""
        return self.mean / self.spread if self.method == "paired" and self.spread and self.has_spread else None

    def interval(self, level: float) -> tuple[float, float] | None:
        """The t interval; None where there is no spread to make it of."""
        if not self.has_spread or self.degrees is None or self.standard_error is None:
            return None
        half = t_quantile(level, self.degrees) * self.standard_error
        return self.mean - half, self.mean + half

    def p_value(self) -> float | None:
        """Two-sided, of no difference. Without spread: 1 where nothing differs, else the exact sign-flip p, which needs
        none; None where nothing can be said."""
        if self.method == "none":
            return None
        if self.has_spread:
            return min(1.0, 2 * self._below(-abs(self.mean)))
        if abs(self.mean) <= NO_SPREAD:
            return 1.0
        return 2.0 ** (1 - self.n) if self.method == "paired" else None

    def equivalence_p(self, margin: float) -> float | None:
        """Of a difference beyond ± `margin`, by two one-sided t tests; without spread 0 inside the margin and 1 beyond
        it, for paired runs; None where nothing can be said."""
        if self.method == "none":
            return None
        if self.has_spread:
            return self._below(abs(self.mean) - margin)
        return float(abs(self.mean) >= margin) if self.method == "paired" else None

    def sign_flip_p(self) -> float | None:
        """Exact two-sided p of the mean over all sign patterns of the paired differences; None beyond 12 pairs."""
        if self.method != "paired" or len(self.each) > MOST_FLIPPED:
            return None
        return sign_flip_p(self.each)

    def _below(self, distance: float) -> float:
        """Chance of a t at or below `distance` standard errors."""
        from scipy.special import stdtr

        assert self.standard_error is not None
        return float(stdtr(self.degrees, distance / self.standard_error))


def compare(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Difference | None:
    """Ours less theirs, each seed → value; None where one is empty.

    Paired over the shared seeds where there are three or more, or where the smaller group has no other; else Welch over
    all values. Which of the two hangs on the seeds alone, never on the values.
    """
    if not ours or not theirs:
        return None
    seeds = tuple(sorted(ours.keys() & theirs.keys()))
    each = tuple(ours[seed] - theirs[seed] for seed in seeds)
    ties = sum(abs(gap) <= NO_SPREAD for gap in each)
    fewest = min(len(ours), len(theirs))
    if len(seeds) >= min(FEWEST_SEEDS, fewest):
        return _paired(seeds, each, ties)
    return _welch(list(ours.values()), list(theirs.values()), seeds, each, ties)


def _paired(seeds: tuple[int, ...], each: tuple[float, ...], ties: int) -> Difference:
    n = len(each)
    spread = stdev(each) if n > 1 else None
    won = fmean(_score(gap) for gap in each)
    error, degrees = (None, None) if spread is None else (spread / sqrt(n), n - 1)
    method: Literal["paired", "none"] = "paired" if n > 1 else "none"
    return Difference(fmean(each), method, n, n, seeds, each, spread, error, degrees, won, ties)


def _welch(
    ours: Sequence[float], theirs: Sequence[float], seeds: tuple[int, ...], each: tuple[float, ...], ties: int
) -> Difference:
    n, m = len(ours), len(theirs)
    mean = fmean(ours) - fmean(theirs)
    won = fmean(_score(a - b) for a, b in product(ours, theirs))
    if min(n, m) < 2:
        return Difference(mean, "none", n, m, seeds, each, None, None, None, won, ties)
    first, second = variance(ours) / n, variance(theirs) / m
    error = sqrt(first + second)
    degrees = None
    if error > NO_SPREAD:
        degrees = (first + second) ** 2 / (first**2 / (n - 1) + second**2 / (m - 1))
    spread = sqrt(n * first + m * second)
    return Difference(mean, "welch", n, m, seeds, each, spread, error, degrees, won, ties)


def _score(gap: float) -> float:
    """1 where ahead, 0 where behind, a half for a tie."""
    return 0.5 if abs(gap) <= NO_SPREAD else float(gap > 0)


def sign_flip_p(each: Sequence[float]) -> float:
    """Share of the 2ⁿ sign patterns whose mean is at least as far from 0 as that of `each`; sums that differ by less
    than `NO_SPREAD` a value are equal."""
    import numpy as np

    sums = np.zeros(1)
    for gap in each:
        sums = np.concatenate([sums + gap, sums - gap])
    reached = np.abs(sums) >= abs(sum(each)) - NO_SPREAD * len(each)
    return float(reached.mean())
