"""Search methods behind one protocol, and successive halving. All methods but `tpe` know their points at the start.

Random search: Bergstra and Bengio 2012, "Random search for hyper-parameter optimization".
Halving is synchronous, over epochs (Jamieson and Talwalkar 2016, arXiv:1502.07943).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cifar_lab.config import Settings
from cifar_lab.config.io.point_labels import dotted
from cifar_lab.config.io.sweep_rules import sweep_problems
from cifar_lab.config.sheets import Halving, SweepSheet
from cifar_lab.core.errors import Problem, SettingsError
from cifar_lab.studies.space.agreement import agrees, drawn_axes
from cifar_lab.studies.space.axes import Choices, axes_of
from cifar_lab.studies.space.conditions import MOST_CHECKED, Space, when_advice
from cifar_lab.studies.space.draws import NO_SUCH_POINT, draw_points, exclusion_problems
from cifar_lab.studies.space.groups import by_key, group_axes, group_key, group_problems, group_values
from cifar_lab.studies.space.points import Expansion, Point, PointResult, make_points, raise_any

MAX_POINTS = 10_000
"""Points that a sweep may have without `--yes`."""

PROBES = 64
"""Points drawn before the start to check that the points of a space are valid."""


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


@dataclass(frozen=True)
class SideBySide:
    """One search method per group of points, whose batches train together."""

    methods: Sequence[Method]

    @property
    def trials_left(self) -> int:
        """See `Method`."""
        return sum(method.trials_left for method in self.methods)

    def propose(self, results: Mapping[str, PointResult]) -> Sequence[Point]:
        """See `Method`."""
        return [point for method in self.methods for point in method.propose(results)]


def start_method(sheet: SweepSheet, base: Settings, expansion: Expansion, where: str) -> Method:
    """A new search method of a sweep."""
    if sheet.search.method != "tpe":
        return OneBatch(expansion.points)
    from cifar_lab.studies.space.tpe import Tpe

    arms = by_key(expansion.points, sheet.search)
    methods = []
    for space in group_spaces(sheet, Space(drawn_axes(sheet), base)):
        key = "" if not sheet.search.group_keys else _group_of(space, base, sheet, where)
        methods.append(Tpe(sheet, space, base, arms.pop(key, []), where))
    first, *others = methods
    # Arms of a group that the space does not have join the first batch, too.
    first.add_arms([arm for left in arms.values() for arm in left])
    return SideBySide(methods) if others else first


def _group_of(space: Space, base: Settings, sheet: SweepSheet, where: str) -> str:
    """Key of the group of a space that has one group's points alone."""
    (values, *_) = draw_points(space, sheet.exclude, sheet.search.seed, 1, where)
    ((point,), _) = make_points([values], {}, base, where)
    return group_key(point.settings, sheet.search)


def group_spaces(sheet: SweepSheet, space: Space) -> list[Space]:
    """The space of each group's points. The whole space where there are no groups."""
    keys = sheet.search.group_keys
    if not keys:
        return [space]
    return [Space(group_axes(space.axes, values), space.base) for values in group_values(sheet, space)]


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
    raise_any(where, sweep_problems(sheet))
    space = Space(axes_of(sheet), base)
    raise_any(where, [*space.problems(), *group_problems(sheet, space.axes)])
    problems = []
    if not allow_large and (many := _too_many_points(sheet, space)):
        problems.append(("", many))
    halving = sheet.search.halving
    if halving is not None and (few := halving_problem(base.epochs, halving)):
        problems.append(("search.halving", few))
    raise_any(where, problems)
    advice = functools.partial(when_advice, space.axes)
    if sheet.search.method == "tpe":
        return _expand_tpe(sheet, base, where, advice)
    if sheet.search.method == "random":
        combinations = _draw_groups(sheet, Space(drawn_axes(sheet), base), sheet.search.trials or 0, where)
        excluded = 0
    else:
        combinations, excluded = grid_combinations(sheet, space, where)
    if not combinations and not sheet.arms:
        raise SettingsError([Problem(where, "exclude", "excludes every point; keep at least one")])
    points, duplicates = make_points(combinations, sheet.arms, base, where, advice)
    return Expansion(points, duplicates, excluded)


def _expand_tpe(sheet: SweepSheet, base: Settings, where: str, advice: Callable[[str], str]) -> Expansion:
    """The arms, which are known before the start, and the number of trials."""
    from cifar_lab.studies.space.tpe import import_optuna

    import_optuna()
    space = Space(drawn_axes(sheet), base)
    make_points(_draw_groups(sheet, space, PROBES, where), {}, base, where, advice)
    points, duplicates = make_points([], sheet.arms, base, where, advice)
    trials = (sheet.search.trials or 0) * len(group_spaces(sheet, space))
    return Expansion(points, duplicates, 0, trials=trials)


def _too_many_points(sheet: SweepSheet, space: Space) -> str:
    """Problem with the number of points. Empty where it is small enough."""
    if sheet.search.method != "grid":
        count = (sheet.search.trials or 0) * len(group_spaces(sheet, space))
    elif space.is_conditional:
        count = sum(1 for _ in itertools.islice(space.combinations(), MOST_CHECKED))
    else:
        lengths = [len(axis.options) for axis in space.axes if isinstance(axis, Choices)]
        count = math.prod(lengths) if lengths else 0
    count += len(sheet.arms)
    at_least = "at least " if count >= MOST_CHECKED and space.is_conditional else ""
    words = f"{at_least}{count:,} points, more than {MAX_POINTS:,}; make it smaller, or add --yes"
    return words if count > MAX_POINTS else ""


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


def grid_combinations(sheet: SweepSheet, space: Space, where: str) -> tuple[list[Mapping[str, Any]], int]:
    """Every combination that `exclude` leaves, and the number that it removed.

    Raises:
        SettingsError: an entry of `exclude` agrees with no combination.
    """
    combinations = list(space.combinations())
    excluded_by = [[agrees(values, partial) for partial in sheet.exclude] for values in combinations]
    unused = [i for i in range(len(sheet.exclude)) if not any(row[i] for row in excluded_by)]
    raise_any(where, [(f"exclude[{i}]", f"{dotted(sheet.exclude[i])} {NO_SUCH_POINT}") for i in unused])
    kept: list[Mapping[str, Any]] = [
        values for values, row in zip(combinations, excluded_by, strict=True) if not any(row)
    ]
    return kept, len(combinations) - len(kept)


def _draw_groups(sheet: SweepSheet, space: Space, trials: int, where: str) -> list[Mapping[str, Any]]:
    """Draw `trials` points of each group. Point i of every group has the same draws of the axes that they share."""
    raise_any(where, exclusion_problems(space.axes, sheet.exclude))
    return [
        values
        for each in group_spaces(sheet, space)
        for values in draw_points(each, sheet.exclude, sheet.search.seed, trials, where)
    ]
