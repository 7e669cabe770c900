"""Searches on a table of finished runs: racing, halving, random and TPE, each with its number of runs.

The order of the seeds is the replay's. A run that is trained for half of its epochs counts as half a run.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from benchmarks.replay.table import Curve
from cifar_lab.config.sheets import Halving
from cifar_lab.studies.space.methods import kept_points, rung_epochs, start_method
from cifar_lab.studies.space.points import PointResult
from cifar_lab.studies.space.race import Race
from cifar_lab.studies.sweep import Sweep

Curves = dict[str, tuple[Curve, ...]]
"""Validation accuracy after each epoch, by point and seed."""

HALVING = Halving(eta=2, rungs=2)


@dataclass(frozen=True)
class Replayed:
    """Result of a search."""

    winner: str
    runs: float


def permuted(curves: Curves, replay: int) -> Curves:
    """The table with its seeds in another order, the same for all points."""
    order = list(range(len(next(iter(curves.values())))))
    random.Random(replay).shuffle(order)
    return {name: tuple(rows[seed] for seed in order) for name, rows in curves.items()}


def full_table(curves: Curves) -> Replayed:
    """Every point with every seed."""
    return Replayed(_best(curves), sum(map(len, curves.values())))


def race(curves: Curves, error: float) -> Replayed:
    """Race over the seeds of the table."""
    found, runs = Race(list(curves), len(next(iter(curves.values()))), error, kept=1), 0
    while names := found.next_points():
        runs += len(names)
        found.add({name: (curves[name][len(found.results[name])][-1],) for name in names})
    return Replayed(max(found.running, key=lambda name: (len(found.results[name]), found.mean(name))), runs)


def halving(curves: Curves, seeds: int) -> Replayed:
    """Successive halving over epochs, with the mean of a few seeds."""
    epochs, names, runs, trained = len(next(iter(curves.values()))[0]), list(curves), 0.0, 0
    for rung, until in enumerate(rung_epochs(epochs, HALVING)):
        if rung:
            names = names[: kept_points(len(names), HALVING, 1)]
        runs += len(names) * seeds * (until - trained) / epochs
        names.sort(key=lambda name: -fmean(row[until - 1] for row in curves[name][:seeds]))
        trained = until
    return Replayed(names[0], runs)


def random_points(curves: Curves, points: int, seeds: int, replay: int) -> Replayed:
    """Points drawn without repetition, with the mean of a few seeds."""
    drawn = random.Random(replay).sample(list(curves), min(points, len(curves)))
    return Replayed(_best({name: curves[name][:seeds] for name in drawn}), len(drawn) * seeds)


def tpe(sweep: Sweep, curves: Curves, trials: int, seeds: int, replay: int) -> Replayed:
    """Proposals of `method: tpe`, with the mean of a few seeds. A repeated proposal costs nothing."""
    search = sweep.search.model_copy(update={"method": "tpe", "trials": trials, "seed": replay, "racing": None})
    sheet = sweep.sheet.model_copy(update={"search": search})
    names = {tuple(sorted(point.values.items())): point.name for point in sweep.expansion.points}
    method = start_method(sheet, sweep.base, replace(sweep.expansion, points=()), sweep.where)
    results: dict[str, PointResult] = {}
    while batch := method.propose(results):
        for point in batch:
            rows = curves[names[tuple(sorted(point.values.items()))]][:seeds]
            results[point.name] = PointResult(point, tuple(row[-1] for row in rows))
    best = max(results.values(), key=lambda result: result.value)
    return Replayed(names[tuple(sorted(best.point.values.items()))], len(results) * seeds)


def _best(curves: Curves | dict[str, Sequence[Curve]]) -> str:
    return max(curves, key=lambda name: fmean(row[-1] for row in curves[name]))
