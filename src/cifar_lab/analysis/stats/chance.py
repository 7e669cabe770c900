"""What chance alone does: the best of many equal points, and two models that err on different images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache


@lru_cache(maxsize=64)
def expected_maximum(count: int) -> float:
    """Expected largest of `count` independent standard normal numbers (Tippett 1925): 0 for one, 2.5 for 100.

    Raises:
        ValueError: `count` is below one.
    """
    if count < 1:
        raise ValueError("of no numbers there is no largest")
    from math import expm1, log1p

    from scipy.integrate import quad
    from scipy.special import ndtr

    def beyond(x: float) -> float:
        """P(max > x) - P(max < -x), whose integral over x > 0 is the mean of the maximum."""
        return float(-expm1(count * log1p(-ndtr(-x))) - ndtr(-x) ** count)

    return float(quad(beyond, 0, 12, epsabs=1e-12, epsrel=1e-12)[0])  # nothing is left at 12


@dataclass(frozen=True)
class McNemar:
    """Two models on the same images."""

    both: int
    """Images that both classify right."""
    only_first: int
    only_second: int
    neither: int
    p: float
    """Exact, two-sided: that the images on which one alone is right are as likely the one's as the other's."""

    @property
    def images(self) -> int:
        """All of them."""
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def points(self) -> float:
        """Accuracy of the first less that of the second, pp."""
        return 100 * (self.only_first - self.only_second) / self.images


def mcnemar(both: int, only_first: int, only_second: int, neither: int) -> McNemar:
    """McNemar's test (1947) in its exact form, the binomial test of the images on which the two differ.

    Raises:
        ValueError: no image at all.
    """
    from scipy.special import bdtr

    if both + only_first + only_second + neither == 0:
        raise ValueError("no image to compare on")
    discordant = only_first + only_second
    fewer = min(only_first, only_second)
    p = min(1.0, 2 * float(bdtr(fewer, discordant, 0.5))) if discordant else 1.0
    return McNemar(both, only_first, only_second, neither, p)
