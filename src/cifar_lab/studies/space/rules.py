"""Which settings a sweep varies, and how many points it may have."""

from __future__ import annotations

import math

from cifar_lab.config.sheets import Range, SweepSheet

MAX_POINTS = 10_000
"""Points that a sweep may have unless it is told that more are meant."""


def axis_keys(sheet: SweepSheet) -> list[tuple[str, str]]:
    """Place (`space`, `paired[0]`) and dotted key of everything that varies."""
    keys = [("space", key) for key in sheet.space]
    return keys + [(f"paired[{i}]", key) for i, group in enumerate(sheet.paired) for key in group]


def too_many_points(sheet: SweepSheet) -> str:
    """What is wrong with the number of combinations; empty where it is small enough."""
    count = (_combinations(sheet) if sheet.search.method == "grid" else sheet.search.trials or 0) + len(sheet.arms)
    return (
        f"{count:,} points, more than {MAX_POINTS:,}; make it smaller, or add --yes to go on"
        if count > MAX_POINTS
        else ""
    )


def _combinations(sheet: SweepSheet) -> int:
    """Of a grid's lists."""
    lengths = [len(values) for values in sheet.space.values() if not isinstance(values, Range)]
    lengths += [min(map(len, group.values())) for group in sheet.paired if group]
    return math.prod(lengths) if lengths else 0
