"""Scales of compared numbers: accuracies in percent and their differences in points, distances in L2 of pixels 0 to 1.

Rows hold values as measured: shares from 0 to 1, or distances. Comparisons hold differences in `difference_unit`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True)
class Scale:
    """Units of a compared number and of its differences, with their digits."""

    name: str
    """Unit of the values as measured."""
    factor: float
    """Values are shown multiplied by it."""
    unit: str
    """Unit of a shown value."""
    difference_unit: str
    highest: float
    """Bound of the values as measured."""
    digits: int
    """Decimals of a shown value in a table, and of a difference."""
    short_digits: int
    """Decimals of a shown value in a sentence or on a chart, and of differences that are not small."""

    @property
    def is_share(self) -> bool:
        """Whether the values are shares, which are shown in percent."""
        return self == SHARES

    def from_hundredths(self, difference: float) -> float:
        """A difference in hundredths of the values' unit, such as `min_effect`, in `difference_unit`."""
        return difference * (self.factor / 100)

    def number(self, value: float, digits: int | None = None) -> str:
        """`62.58`: a value as shown, without its unit."""
        return f"{self.factor * value:.{self.digits if digits is None else digits}f}"

    def short(self, value: float) -> str:
        """`62.6 %`, `0.613 L2`."""
        return f"{self.number(value, self.short_digits)} {self.unit}"

    def size(self, gap: float, *, sign: bool = False) -> str:
        """`0.31`, or `+0.31` and `−0.31`: a difference without its unit."""
        shown = round(gap, self.digits) + 0.0  # no negative zero
        text = f"{shown:+.{self.digits}f}" if sign and shown else f"{shown:.{self.digits}f}"
        return text.replace("-", "−")

    def difference(self, gap: float, *, sign: bool = False) -> str:
        """`0.31 pp`, `+0.091 L2`: as `size`, with the unit."""
        return f"{self.size(gap, sign=sign)} {self.difference_unit}"

    def digits_of(self, gaps: Iterable[float]) -> int:
        """Decimals of differences that stand together: those of tables if all are below 1."""
        return self.digits if all(abs(gap) < 1 for gap in gaps) else self.short_digits

    def brief(self, gap: float) -> str:
        """`+10.3 pp`, `−0.31 pp`, `−0.091 L2`."""
        return f"{gap:+.{self.digits_of([gap])}f} {self.difference_unit}".replace("-", "−")

    def bound(self, difference: float) -> str:
        """`0.3 pp`, `0.003 L2`: a difference that was given, with the digits that it was given with."""
        return f"{difference:g} {self.difference_unit}"


SHARES = Scale("share", 100, "%", "pp", highest=1.0, digits=2, short_digits=1)
DISTANCES = Scale("L2", 1, "L2", "L2", highest=inf, digits=3, short_digits=3)
