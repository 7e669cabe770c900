"""Readings in another measure, said openly in the comparison's words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from benchmarks.harness import ComparisonTarget
from benchmarks.outcome import Reading


def scaled(side: ComparisonTarget, factor: float) -> ComparisonTarget:
    """A side whose value is multiplied."""
    return _changed(side, lambda reading: reading.value * factor)


def milliseconds(side: ComparisonTarget) -> ComparisonTarget:
    """The time of a step instead of images a second, of one process."""
    return _changed(side, lambda reading: float(reading.detail["processes"][0]["step_ms"]))


def _changed(side: ComparisonTarget, value: Callable[[Reading], float]) -> ComparisonTarget:
    def measure() -> Reading:
        reading = side()
        return replace(reading, value=value(reading))

    return measure
