"""Difference of two groups of runs: paired t test by seed, or Welch's.

Units are those of the values. Sources: Student (1908). Welch (1947), with the degrees of freedom of Satterthwaite
(1946). Sign flips: Fisher (1935), The Design of Experiments, section 21. Two one-sided tests: Schuirmann (1987).

Accuracies on a test set move in steps of an image, so a few of them can be equal by chance. A difference is shown only
where a test over the test images shows it too, and equivalence allows for their resolution (`Resolution`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import sqrt
from statistics import fmean, stdev, variance
from typing import Literal

from cifar_lab.analysis.stats.resolution import Resolution
from cifar_lab.analysis.stats.significance import FEWEST_SEEDS, LEVEL, ZERO_STD, t_critical

MOST_FLIPPED = 12
"""Pairs up to which all sign patterns are enumerated: 4,096 of them."""


@dataclass(frozen=True)
class Difference:
    """Mean of one group minus that of another, with its error."""

    mean: float
    method: Literal["paired", "welch", "none"]
    """`none`: one of the groups has a single run, so no standard deviation is known."""
    n: int
    """Runs of the first group in it, pairs where the method is paired."""
    n_other: int
    seeds: tuple[int, ...]
    """Seeds that both have."""
    differences: tuple[float, ...]
    """Difference of each shared seed, in the order of `seeds`."""
    std: float | None
    """Paired: sample standard deviation of `differences`. Welch: root of the sum of both variances."""
    standard_error: float | None
    dof: float | None
    """Degrees of freedom of the t distribution."""
    win_rate: float
    """Share of the pairs in which the first is ahead, a tie counting half. Welch: of all pairs of runs."""
    ties: int
    """Shared seeds with equal values."""
    resolution: Resolution | None = None
    """Of the test images. None: values of unlimited resolution."""

    @property
    def has_variance(self) -> bool:
        """Whether the standard error is above zero."""
        return self.standard_error is not None and self.standard_error > ZERO_STD

    def equivalence_std(self, margin: float) -> float | None:
        """Standard deviation in the tests of a difference beyond ± `margin`."""
        return None if self.std is None else sqrt(self.std**2 + self._resolved(margin))

    @property
    def is_resolution_limited(self) -> bool:
        """Whether the test images, and not the runs, limit what a test of a difference can show."""
        if self.resolution is None or self.standard_error is None or self.dof is None:
            return False
        return not self.has_variance or self._half_of_runs(LEVEL) < self._half_of_images(LEVEL)

    @property
    def runs(self) -> int:
        """Runs of the smaller group."""
        return min(self.n, self.n_other)

    @property
    def effect_size(self) -> float | None:
        """Cohen's d_z of paired runs: the mean in units of the standard deviation."""
        return self.mean / self.std if self.method == "paired" and self.std and self.has_variance else None

    def confidence_interval(self, level: float) -> tuple[float, float] | None:
        """The t interval over runs, or that over images where it is wider. None where no error is known."""
        if self.standard_error is None or self.dof is None:
            return None
        half = max(self._half_of_runs(level), self._half_of_images(level))
        return (self.mean - half, self.mean + half) if half > ZERO_STD else None

    def p_value(self) -> float | None:
        """Two-sided p of no difference, as `margin_p`."""
        return self.margin_p(0.0)

    def margin_p(self, margin: float) -> float | None:
        """Two-sided p of a difference of `margin`: that of the t test over runs, or over images where it is larger.

        Without a resolution and without variance it is 1 if nothing differs, else the exact sign-flip p, which needs no
        standard error. None where neither is known.
        """
        if self.method == "none":
            return None
        distance = abs(self.mean - margin)
        if distance <= ZERO_STD:
            return 1.0
        if self.resolution is None and not self.has_variance:
            return 2.0 ** (1 - self.n) if self.method == "paired" else None
        return min(1.0, 2 * max(self._tail_of_runs(distance), self._tail_of_images(distance)))

    def equivalence_p(self, margin: float) -> float | None:
        """p of two one-sided t tests that the difference is beyond ± `margin`. None for a standard error of 0."""
        if self.standard_error is None:
            return None
        error = sqrt(self.standard_error**2 + self._resolved(margin) / self.runs)
        return self._t_cdf((abs(self.mean) - margin) / error) if error > ZERO_STD else None

    def sign_flip_p(self) -> float | None:
        """Exact two-sided p of the mean over all sign patterns of the paired differences. None beyond 12 pairs."""
        if self.method != "paired" or len(self.differences) > MOST_FLIPPED:
            return None
        return sign_flip_p(self.differences)

    def _resolved(self, margin: float) -> float:
        """Least variance of a difference of two runs in a test of a difference of `margin`."""
        if self.resolution is None:
            return 0.0
        observed = fmean(map(abs, self.differences)) if self.method == "paired" else abs(self.mean)
        return self.resolution.variance(max(observed, margin)) + self.resolution.skew_variance(margin)

    def _error_of_images(self) -> float:
        """Standard error of the difference if only the test images vary."""
        return sqrt(self._resolved(0.0) / self.runs)

    def _half_of_runs(self, level: float) -> float:
        return t_critical(level, self.dof or 1) * (self.standard_error or 0.0)

    def _half_of_images(self, level: float) -> float:
        from scipy.special import ndtri

        return float(ndtri((1 + level) / 2)) * self._error_of_images()

    def _tail_of_runs(self, distance: float) -> float:
        return self._t_cdf(-distance / self.standard_error) if self.has_variance and self.standard_error else 0.0

    def _tail_of_images(self, distance: float) -> float:
        from scipy.special import ndtr

        error = self._error_of_images()
        return float(ndtr(-distance / error)) if error else 0.0

    def _t_cdf(self, t: float) -> float:
        from scipy.special import stdtr

        return float(stdtr(self.dof, t))


def compare(sample: Mapping[int, float], other: Mapping[int, float], images: int | None = None) -> Difference | None:
    """Compare two groups of runs, given as the value of each seed. None where one is empty.

    Paired over the shared seeds where three or more are shared, or all of the smaller group. Else Welch over all
    values. The choice depends on the seeds alone, never on the values: choosing by the outcome would inflate the error
    rate.

    Args:
        images: test images of a run, of which the values are shares. None for other values.
    """
    if not sample or not other:
        return None
    seeds = tuple(sorted(sample.keys() & other.keys()))
    differences = tuple(sample[seed] - other[seed] for seed in seeds)
    ties = sum(abs(each) <= ZERO_STD for each in differences)
    fewest = min(len(sample), len(other))
    if len(seeds) >= min(FEWEST_SEEDS, fewest):
        found = _paired(seeds, differences, ties)
    else:
        found = _welch(list(sample.values()), list(other.values()), seeds, differences, ties)
    return found if images is None else replace(found, resolution=Resolution(images, _fewest_errors(sample, other)))


def _fewest_errors(sample: Mapping[int, float], other: Mapping[int, float]) -> float:
    """Mean error rate of the better group."""
    return max(0.0, 1 - max(fmean(sample.values()), fmean(other.values())))


def _paired(seeds: tuple[int, ...], differences: tuple[float, ...], ties: int) -> Difference:
    n = len(differences)
    std = stdev(differences) if n > 1 else None
    win_rate = fmean(_win(each) for each in differences)
    error, dof = (None, None) if std is None else (std / sqrt(n), n - 1)
    method: Literal["paired", "none"] = "paired" if n > 1 else "none"
    return Difference(fmean(differences), method, n, n, seeds, differences, std, error, dof, win_rate, ties)


def _welch(
    sample: Sequence[float],
    other: Sequence[float],
    seeds: tuple[int, ...],
    differences: tuple[float, ...],
    ties: int,
) -> Difference:
    n, m = len(sample), len(other)
    mean = fmean(sample) - fmean(other)
    win_rate = fmean(_win(a - b) for a, b in product(sample, other))
    if min(n, m) < 2:
        return Difference(mean, "none", n, m, seeds, differences, None, None, None, win_rate, ties)
    first, second = variance(sample) / n, variance(other) / m
    error = sqrt(first + second)
    dof: float = min(n, m) - 1
    if error > ZERO_STD:
        dof = (first + second) ** 2 / (first**2 / (n - 1) + second**2 / (m - 1))
    std = sqrt(n * first + m * second)
    return Difference(mean, "welch", n, m, seeds, differences, std, error, dof, win_rate, ties)


def _win(difference: float) -> float:
    """1 where ahead, 0 where behind, a half for a tie."""
    return 0.5 if abs(difference) <= ZERO_STD else float(difference > 0)


def sign_flip_p(differences: Sequence[float]) -> float:
    """Share of the 2ⁿ sign patterns whose mean is at least as far from 0 as that of `differences`.

    Sums that differ by less than `ZERO_STD` per value count as equal.
    """
    import numpy as np

    sums = np.zeros(1)
    for each in differences:
        sums = np.concatenate([sums + each, sums - each])
    reached = np.abs(sums) >= abs(sum(differences)) - ZERO_STD * len(differences)
    return float(reached.mean())
