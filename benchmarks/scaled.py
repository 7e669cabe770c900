"""Readings in another measure, said openly in the comparison's words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from benchmarks.harness import Side
from benchmarks.outcome import Reading


def scaled(side: Side, factor: float) -> Side:
    """A side whose value is multiplied."""
    return _changed(side, lambda reading: reading.value * factor)


def milliseconds(side: Side) -> Side:
    """The time of a step instead of images a second, of one process."""
    return _changed(side, lambda reading: float(reading.detail["processes"][0]["step_ms"]))


def _changed(side: Side, value: Callable[[Reading], float]) -> Side:
    def measure() -> Reading:
        reading = side()
        return replace(reading, value=value(reading))

    return measure
