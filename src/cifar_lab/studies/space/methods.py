"""How points are tried: one room a method behind one protocol. All but `tpe` know their points before the start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cifar_lab.config import Settings
from cifar_lab.config.io.sweep_rules import sweep_problems
from cifar_lab.config.sheets import SweepSheet
from cifar_lab.core.errors import Problem, SettingsError
from cifar_lab.studies.space.grid import grid_combinations
from cifar_lab.studies.space.halving import halving_problem
from cifar_lab.studies.space.points import Expansion, Point, PointResult, make_points, raise_any
from cifar_lab.studies.space.random_search import draw_points
from cifar_lab.studies.space.rules import too_many_points

PROBES = 64
"""Points drawn to find out, before the start, whether the points of a space hold together."""


class Method(Protocol):
    """Who says which points to try next."""

    @property
    def to_come(self) -> int:
        """Proposals after those that were made."""

    def propose(self, tried: Mapping[str, PointResult]) -> Sequence[Point]:
        """The next points, which are tried together; none when the search is over.

        The same answers to the same questions in the same order: a search that is begun again finds its points.

        Args:
            tried: name of the point → how it did, of every point that was proposed before.
        """


@dataclass(frozen=True)
class OneBatch:
    """All points at once: `grid` and `random`."""

    points: Sequence[Point]
    to_come: int = 0

    def propose(self, tried: Mapping[str, PointResult]) -> Sequence[Point]:
        """See `Method`."""
        return () if tried else self.points


def expand(sheet: SweepSheet, base: Settings, where: str, *, allow_large: bool = False) -> Expansion:
    """The points of a sweep that are known before the start, the arms last; each only once.

    Args:
        sheet: what the sweep file says.
        base: the settings that it starts from.
        where: the sweep file, for messages.
        allow_large: accept more than 10,000 combinations.

    Raises:
        SettingsError: keys stated twice, lists of unequal length, an exclusion that can exclude nothing, too many
            points or none, a point that is not valid, epochs that cannot be halved; `tpe` without Optuna.
    """
    problems = sweep_problems(sheet)
    if not allow_large and (many := too_many_points(sheet)):
        problems.append(("", many))
    halving = sheet.search.halving
    if halving is not None and (few := halving_problem(base.epochs, halving)):
        problems.append(("search.halving", few))
    raise_any(where, problems)
    if sheet.search.method == "tpe":
        return _expand_proposals(sheet, base, where)
    if sheet.search.method == "random":
        combinations, excluded = draw_points(sheet, sheet.search.trials or 0, where), 0
    else:
        combinations, excluded = grid_combinations(sheet, where)
    if not combinations and not sheet.arms:
        raise SettingsError([Problem(where, "exclude", "takes out every point; leave at least one")])
    points, duplicates = make_points(combinations, sheet.arms, base, where)
    return Expansion(points, duplicates, excluded)


def _expand_proposals(sheet: SweepSheet, base: Settings, where: str) -> Expansion:
    """The arms, which are known before the start, and the number of proposals."""
    from cifar_lab.studies.space.optuna_study import import_optuna

    import_optuna()
    make_points(draw_points(sheet, PROBES, where), {}, base, where)
    points, duplicates = make_points([], sheet.arms, base, where)
    return Expansion(points, duplicates, 0, proposals=sheet.search.trials or 0)


def start_method(sheet: SweepSheet, base: Settings, expansion: Expansion, where: str) -> Method:
    """The method of a sweep, at its beginning."""
    if sheet.search.method == "tpe":
        from cifar_lab.studies.space.tpe import Tpe

        return Tpe(sheet, base, expansion.points, where)
    return OneBatch(expansion.points)
