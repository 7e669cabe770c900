"""Racing, halving, TPE and random search replayed on one table of real runs: 200 points, ten seeds, ten fresh seeds.

The table is made once in the scratch folder, about 13 minutes of one core, and kept there. Each replay permutes the
seeds. The winner of a search is judged by fresh seeds, beside the winner of the full table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.command_images import NoImagesError
from benchmarks.images import share_of
from benchmarks.options import Options
from benchmarks.outcome import Comparison, Pair, Reading, Target
from benchmarks.replay.methods import Curves, Replayed, full_table, halving, permuted, race, random_points, tpe
from benchmarks.replay.table import TableFolder
from cifar_lab.core.text import count

REPLAYS, SEEDS = 20, 10
SHARE = 0.1
"""Of the images."""
MOST_RUNS = 1 / 3
"""Of the full table, in a race."""
LARGEST_LOSS = 0.2
"""Percentage points by which the winner of a race may be below that of the full table."""


@dataclass(frozen=True)
class Method:
    """A search and its replays."""

    name: str
    replays: Sequence[Replayed]

    @property
    def runs(self) -> float:
        """Mean number of runs."""
        return fmean(each.runs for each in self.replays)


def measure(options: Options) -> list[Comparison]:
    """Runs of a race, then fresh accuracy per method, each against the full table."""
    replays, seeds, points = (2, 3, 12) if options.quick else (REPLAYS, SEEDS, None)
    folder = TableFolder(options.folder / "racing", _images(options), seeds, points)
    table = folder.table()
    best = full_table(table.searched)
    methods = _replayed(folder, table.searched, replays)
    winners = {best.winner, *(each.winner for method in methods for each in method.replays)}
    fresh = {name: 100 * fmean(row[-1] for row in rows) for name, rows in folder.table(sorted(winners)).fresh.items()}
    for method in methods:
        options.say(_line(method, best, fresh))
    runs = [(each.runs, best.runs) for each in methods[0].replays]
    shape = f"{len(folder.points)} points, {seeds} seeds"
    found = [_comparison(f"{shape}: runs of a race", "runs", "race", runs, Target(most=MOST_RUNS))]
    least = Target(least=1 - LARGEST_LOSS / fresh[best.winner])
    for method in methods:
        name = f"{shape}: winner of {method.name}, fresh seeds"
        pairs = [(fresh[each.winner], fresh[best.winner]) for each in method.replays]
        found.append(_comparison(name, "%", f"{method.runs:.0f} runs", pairs, least))
    for comparison in found:
        options.harness.book.keep(comparison)
    return found


def _images(options: Options) -> list[str]:
    if options.quick:
        return ["data={dataset: synthetic, train_size: 400, test_size: 50, val_size: 100}"]
    if options.zip_file is None:
        raise NoImagesError("this benchmark trains on real images: name a zip of JPEG files with --zip FILE")
    return [f"data.root={share_of(options.zip_file, SHARE, options.folder)}"]


def _replayed(folder: TableFolder, curves: Curves, replays: int) -> list[Method]:
    """Every method on one budget: the mean number of runs of the race."""
    tables = [permuted(curves, replay) for replay in range(replays)]
    search = folder.sweep.search
    assert search.racing is not None
    error = search.racing.error
    raced = Method("racing", [race(table, error) for table in tables])
    budget, most = raced.runs, len(search.seeds)
    per_seed = halving(curves, 1).runs
    halved = min(most, max(1, round(budget / per_seed)))
    few = min(3, most)
    methods = [raced, Method(f"halving, {count(halved, 'seed')}", [halving(table, halved) for table in tables])]
    for n in (1, few):
        drawn = [random_points(table, round(budget / n), n, replay) for replay, table in enumerate(tables)]
        methods.append(Method(f"random, {count(n, 'seed')}", drawn))
    if len(folder.points) == len(folder.sweep.expansion.points):  # a proposal may be any point of the space
        proposed = [tpe(folder.sweep, table, round(budget / few), few, i) for i, table in enumerate(tables)]
        methods.append(Method(f"TPE, {count(few, 'seed')}", proposed))
    return methods


def _comparison(
    name: str, unit: str, candidate: str, values: Sequence[tuple[float, float]], target: Target
) -> Comparison:
    pairs = [Pair(Reading(mine), Reading(full), None) for mine, full in values]
    return Comparison(name, unit, candidate, "full table", target, pairs)


def _line(method: Method, best: Replayed, fresh: Mapping[str, float]) -> str:
    losses = [fresh[best.winner] - fresh[each.winner] for each in method.replays]
    return (
        f"{method.name}: {method.runs:.0f} runs ({method.runs / best.runs:.3f} of the full table), the winner "
        f"{fmean(losses):+.2f} pp below that of the full table, at most {max(losses):+.2f}; the same point in "
        f"{sum(each.winner == best.winner for each in method.replays)} of {len(method.replays)} replays"
    )
