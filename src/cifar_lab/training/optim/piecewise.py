"""Schedules that are piecewise linear in the step, by their corners: (share of the steps, factor of the rate)."""

from __future__ import annotations

import numpy as np

from cifar_lab.config import Linear, Piecewise, Trapezoid, Triangular
from cifar_lab.config.schedulers import Corners
from cifar_lab.training.optim.rates import Array, RateSchedule


class CornerRate(RateSchedule[Linear | Triangular | Trapezoid | Piecewise]):
    """Straight lines between corners. Step s of n has the share s / n, so a line to 0 ends after the last step."""

    def unwarmed(self, epoch: int, steps: Array) -> Array:
        rates: Array = self.base * factors(self.settings.corners(), steps / self.total)
        return rates


class LinearRate(CornerRate):
    """From the rate to 0."""


class TriangularRate(CornerRate):
    """From 0 to the rate and back."""


class TrapezoidRate(CornerRate):
    """The rate, then to 0."""


class PiecewiseRate(CornerRate):
    """Corners that the settings state."""


def factors(corners: Corners, shares: Array) -> Array:
    """Factors at `shares`, (steps,). At a jump the later corner counts."""
    where, values = np.array(corners, dtype=np.float64).T
    last = np.clip(np.searchsorted(where, shares, side="right"), 1, len(where) - 1)
    width = where[last] - where[last - 1]
    slope = np.divide(values[last] - values[last - 1], width, out=np.zeros_like(width), where=width > 0)
    found: Array = np.where(width > 0, values[last - 1] + slope * (shares - where[last - 1]), values[last])
    return found
