"""What is wrong with a sweep before any of its points is made."""

from __future__ import annotations

import math
from collections.abc import Iterator

from cifar_lab.sheets import SweepSheet

MAX_POINTS = 10_000
"""Points that a sweep may have unless it is told that more are meant."""

NO_AXIS = {
    "label": "points are named by their values; remove it, or use arms to name points",
    "seeds": "seeds repeat a point, they are no axis; set search.seeds and search.confirm_seeds",
}
"""Settings that a point does not set, and what to do instead."""

KeyProblem = tuple[str, str]
"""Where in the sheet, and what is wrong there."""


def sheet_problems(sheet: SweepSheet, *, allow_large: bool) -> list[KeyProblem]:
    """All that is wrong with the sheet as such; empty where all is well."""
    return [
        *_unequal_lists(sheet),
        *_repeated_keys(sheet),
        *_no_axes(sheet),
        *_unknown_exclusions(sheet),
        *_stale_seeds(sheet),
        *_size(sheet, allow_large),
    ]


def axis_keys(sheet: SweepSheet) -> list[tuple[str, str]]:
    """Place and dotted key of everything that varies."""
    keys = [("space", key) for key in sheet.space]
    return keys + [(f"paired[{i}]", key) for i, group in enumerate(sheet.paired) for key in group]


def _unequal_lists(sheet: SweepSheet) -> Iterator[KeyProblem]:
    for i, group in enumerate(sheet.paired):
        lengths = {key: len(values) for key, values in group.items()}
        if not group:
            yield f"paired[{i}]", "an empty group; remove it"
        elif len(set(lengths.values())) > 1:
            told = ", ".join(f"{key} has {length}" for key, length in lengths.items())
            yield f"paired[{i}]", f"lists of unequal length ({told}); give each key one value a point"


def _repeated_keys(sheet: SweepSheet) -> Iterator[KeyProblem]:
    first: dict[str, str] = {}
    for place, key in axis_keys(sheet):
        if key in first:
            yield f"{place}.{key}", f"is in {first[key]} already; state each key once"
        first.setdefault(key, place)


def _no_axes(sheet: SweepSheet) -> Iterator[KeyProblem]:
    in_arms = [(f"arms.{name}", key) for name, values in sheet.arms.items() for key in values]
    for place, key in axis_keys(sheet) + in_arms:
        if key in NO_AXIS:
            yield f"{place}.{key}", NO_AXIS[key]


def _unknown_exclusions(sheet: SweepSheet) -> Iterator[KeyProblem]:
    known = [key for _, key in axis_keys(sheet)]
    for i, partial in enumerate(sheet.exclude):
        if not partial:
            yield f"exclude[{i}]", "an empty entry would take out every point; remove it"
        for key in partial:
            if key not in known:
                yield f"exclude[{i}].{key}", f"is no key of space or paired; those are {', '.join(known) or 'none'}"


def _stale_seeds(sheet: SweepSheet) -> Iterator[KeyProblem]:
    shared = sorted(set(sheet.search.seeds) & set(sheet.search.confirm_seeds))
    if shared:
        yield "search.confirm_seeds", f"{shared[0]} is in search.seeds too; winners are confirmed with fresh seeds"


def _size(sheet: SweepSheet, allow_large: bool) -> Iterator[KeyProblem]:
    lengths = [len(values) for values in sheet.space.values()]
    lengths += [min(map(len, group.values())) for group in sheet.paired if group]
    count = (math.prod(lengths) if lengths else 0) + len(sheet.arms)
    if count == 0:
        yield "", "nothing to try; give space, paired or arms"
    elif count > MAX_POINTS and not allow_large:
        yield "", f"{count:,} points, more than {MAX_POINTS:,}; make it smaller, or add --yes to go on"
