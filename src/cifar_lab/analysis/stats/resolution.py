"""Resolution of a test set: the least variance that the difference of two accuracies has.

Two runs whose accuracies differ by d classify at least a share d of the test images differently. The number of such
images is a count, so over seeds and images the difference varies by d / images at least: the variance of McNemar's test
(1947) of two correlated proportions, taken at the difference that is tested (a score test, Tango 1998).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Resolution:
    """Test images of a run, and how few of them are classified wrong."""

    images: int
    fewest_errors: float = 1.0
    """Mean error rate of the better of two groups, a share."""

    def variance(self, difference: float) -> float:
        """Least variance of the difference of two runs that differ by `difference` (a share)."""
        return abs(difference) / self.images

    def skew_variance(self, margin: float) -> float:
        """Further variance in a test of a difference of `margin`, where hardly anything is classified wrong.

        An error rate is never below 0. If the better group has no errors, a difference of `margin` is the other group's
        whole error rate, which is skewed: many seeds have few errors, few seeds have many. The t test does not allow
        for it. The variance added is that of an exponential distribution of mean `margin`, times the square of the
        share of `margin` in the worse group's error rate, so that it vanishes where errors are frequent.
        """
        return margin**4 / (margin + self.fewest_errors) ** 2 if margin else 0.0
