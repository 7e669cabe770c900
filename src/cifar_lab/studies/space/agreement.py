"""Values of points and options that are the same, however a sweep file writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cifar_lab.config.io.same_value import normal_value, same_value
from cifar_lab.config.sheets import SweepSheet
from cifar_lab.studies.space.axes import Axis, Choices, axes_of


def drawn_axes(sheet: SweepSheet) -> list[Axis]:
    """Axes without repeated options, so that a value stated twice is not drawn twice as often."""
    return [
        replace(axis, options=without_repeats(axis.options)) if isinstance(axis, Choices) else axis
        for axis in axes_of(sheet)
    ]


def agrees(values: Mapping[str, Any], partial: Mapping[str, Any]) -> bool:
    """Whether a point has all values of a partial point."""
    return all(key in values and same_value(key, values[key], value) for key, value in partial.items())


def without_repeats(options: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """The options in order, each once."""
    seen: list[Any] = []
    kept = []
    for option in options:
        normal = {key: normal_value(key, value) for key, value in option.items()}
        if normal not in seen:
            seen.append(normal)
            kept.append(option)
    return tuple(kept)
