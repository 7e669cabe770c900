"""Search methods behind one protocol, and successive halving. All methods but `tpe` know their points at the start.

Random search: Bergstra and Bengio 2012, "Random search for hyper-parameter optimization".
Halving is synchronous, over epochs (Jamieson and Talwalkar 2016, arXiv:1502.07943).
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cifar_lab.config import Settings
from cifar_lab.config.io.sweep_rules import sweep_problems
from cifar_lab.config.sheets import Halving, Range, SweepSheet
from cifar_lab.core.errors import Problem, SettingsError
from cifar_lab.studies.space.axes import Axis, Choices, agrees, axes_of, drawn_axes
from cifar_lab.studies.space.points import Expansion, Point, PointResult, dotted, make_points, raise_any

MAX_POINTS = 10_000
"""Points that a sweep may have without `--yes`."""

PROBES = 64
"""Points drawn before the start to check that the points of a space are valid."""

MAX_ATTEMPTS = 1_000
"""Draws per point until one is not excluded."""

NO_SUCH_POINT = "matches no point; check its values against space and paired"


class Method(Protocol):
    """Interface of a search method."""

    @property
    def trials_left(self) -> int:
        """Trials that the method has still to propose."""

    def propose(self, results: Mapping[str, PointResult]) -> Sequence[Point]:
        """Propose the next batch of points. Empty when the search is complete.

        Deterministic: the same results in the same order give the same points, so that a search can be resumed.

        Args:
            results: result by name, of every point proposed so far.
        """


@dataclass(frozen=True)
class OneBatch:
    """All points at once: `grid` and `random`."""

    points: Sequence[Point]
    trials_left: int = 0

    def propose(self, results: Mapping[str, PointResult]) -> Sequence[Point]:
        """See `Method`."""
        return () if results else self.points


def start_method(sheet: SweepSheet, base: Settings, expansion: Expansion, where: str) -> Method:
    """A new search method of a sweep."""
    if sheet.search.method == "tpe":
        from cifar_lab.studies.space.tpe import Tpe

        return Tpe(sheet, base, expansion.points, where)
    return OneBatch(expansion.points)


def expand(sheet: SweepSheet, base: Settings, where: str, *, allow_large: bool = False) -> Expansion:
    """Expand a sweep into the points that are known before its start, the arms last.

    Args:
        base: settings that each point starts from.
        where: the sweep file, for messages.
        allow_large: accept more than 10,000 points.

    Raises:
        SettingsError: keys stated twice, lists of unequal length, an exclusion that can exclude nothing, too many
            points or none, a point that is not valid, epochs that cannot be halved; `tpe` without Optuna.
    """
    problems = sweep_problems(sheet)
    if not allow_large and (many := _too_many_points(sheet)):
        problems.append(("", many))
    halving = sheet.search.halving
    if halving is not None and (few := halving_problem(base.epochs, halving)):
        problems.append(("search.halving", few))
    raise_any(where, problems)
    if sheet.search.method == "tpe":
        return _expand_tpe(sheet, base, where)
    if sheet.search.method == "random":
        combinations, excluded = draw_points(sheet, sheet.search.trials or 0, where), 0
    else:
        combinations, excluded = grid_combinations(sheet, where)
    if not combinations and not sheet.arms:
        raise SettingsError([Problem(where, "exclude", "excludes every point; keep at least one")])
    points, duplicates = make_points(combinations, sheet.arms, base, where)
    return Expansion(points, duplicates, excluded)


def _expand_tpe(sheet: SweepSheet, base: Settings, where: str) -> Expansion:
    """The arms, which are known before the start, and the number of trials."""
    from cifar_lab.studies.space.tpe import import_optuna

    import_optuna()
    make_points(draw_points(sheet, PROBES, where), {}, base, where)
    points, duplicates = make_points([], sheet.arms, base, where)
    return Expansion(points, duplicates, 0, trials=sheet.search.trials or 0)


def _too_many_points(sheet: SweepSheet) -> str:
    """Problem with the number of points. Empty where it is small enough."""
    count = (_grid_size(sheet) if sheet.search.method == "grid" else sheet.search.trials or 0) + len(sheet.arms)
    return f"{count:,} points, more than {MAX_POINTS:,}; make it smaller, or add --yes" if count > MAX_POINTS else ""


def _grid_size(sheet: SweepSheet) -> int:
    lengths = [len(values) for values in sheet.space.values() if not isinstance(values, Range)]
    lengths += [min(map(len, group.values())) for group in sheet.paired if group]
    return math.prod(lengths) if lengths else 0


def rung_epochs(epochs: int, halving: Halving) -> list[int]:
    """Epochs after which points are compared, up to `epochs`: each `eta` times the one before, rounded down."""
    return [epochs // halving.eta**step for step in reversed(range(halving.rungs))]


def halving_problem(epochs: int, halving: Halving) -> str:
    """Problem of a training of `epochs` that cannot be halved. Empty where it can."""
    if halving.eta ** (halving.rungs - 1) <= epochs:
        return ""
    most = 1
    while halving.eta**most <= epochs:
        most += 1
    remedy = f"; take at most {most}" if most > 1 else "; train for more"
    words = "1 epoch is" if epochs == 1 else f"{epochs:,} epochs are"
    return f"{words} too few for {halving.rungs} rungs that grow {halving.eta} times{remedy}, or a smaller eta"


def kept_points(points: int, halving: Halving, top: int) -> int:
    """Number of points that a rung promotes: one in `eta`, rounded up, and never fewer than `top`."""
    return min(points, max(top, -(-points // halving.eta)))


def rung_sizes(points: int, halving: Halving, top: int) -> Sequence[int]:
    """Number of points on each rung."""
    sizes = [points]
    while len(sizes) < halving.rungs:
        sizes.append(kept_points(sizes[-1], halving, top))
    return sizes


def grid_combinations(sheet: SweepSheet, where: str) -> tuple[list[Mapping[str, Any]], int]:
    """Every combination that `exclude` leaves, and the number that it removed.

    Raises:
        SettingsError: an entry of `exclude` agrees with no combination.
    """
    combinations = list(_product(axes_of(sheet)))
    excluded_by = [[agrees(values, partial) for partial in sheet.exclude] for values in combinations]
    unused = [i for i in range(len(sheet.exclude)) if not any(row[i] for row in excluded_by)]
    raise_any(where, [(f"exclude[{i}]", f"{dotted(sheet.exclude[i])} {NO_SUCH_POINT}") for i in unused])
    kept = [values for values, row in zip(combinations, excluded_by, strict=True) if not any(row)]
    return kept, len(combinations) - len(kept)


def _product(axes: Sequence[Axis]) -> Iterator[Mapping[str, Any]]:
    """Every combination, the last axis fastest. Empty without axes."""
    lists = [axis.options for axis in axes if isinstance(axis, Choices)]
    for combination in itertools.product(*lists) if lists else ():
        yield {key: value for option in combination for key, value in option.items()}


def draw_points(sheet: SweepSheet, trials: int, where: str) -> list[Mapping[str, Any]]:
    """Draw the values of `trials` points.

    A larger number of trials only appends points. A new axis leaves the draws of the other axes unchanged.

    Raises:
        SettingsError: an entry of `exclude` agrees with no point, or `exclude` leaves nearly nothing.
    """
    axes = drawn_axes(sheet)
    raise_any(where, _exclusion_problems(axes, sheet.exclude))
    drawn = [_draw(axes, sheet.exclude, sheet.search.seed, number) for number in range(trials)]
    kept = [values for values in drawn if values is not None]
    if len(kept) < trials:
        raise_any(where, [("exclude", "excludes nearly every point; keep more of them")])
    return kept


def _exclusion_problems(axes: Sequence[Axis], exclude: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Key and message of each entry that can exclude nothing, because a list lacks its value."""
    return [
        (f"exclude[{number}]", f"{dotted(partial)} {NO_SUCH_POINT}")
        for number, partial in enumerate(exclude)
        if not all(_has(axis, partial) for axis in axes if isinstance(axis, Choices))
    ]


def _has(axis: Choices, partial: Mapping[str, Any]) -> bool:
    """Whether an option agrees with the keys of an exclusion that the axis sets."""
    own = {key: value for key, value in partial.items() if key in axis.options[0]}
    return any(agrees(option, own) for option in axis.options)


def _draw(
    axes: Sequence[Axis], exclude: Sequence[Mapping[str, Any]], seed: int, number: int
) -> Mapping[str, Any] | None:
    """Draw one point, again while it is excluded. None after `MAX_ATTEMPTS`."""
    # Each axis, point and attempt has its random stream. Python's generator seeded with text gives the same numbers in
    # every version and on every machine.
    for attempt in range(MAX_ATTEMPTS):
        values: dict[str, Any] = {}
        for axis in axes:
            values |= axis.at(random.Random(f"{seed} {axis.name} {number} {attempt}").random())
        if not any(agrees(values, partial) for partial in exclude):
            return values
    return None
