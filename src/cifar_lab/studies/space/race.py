"""Race of points over seeds. The worst points are dropped as paired differences to the leader allow.

Racing: Maron and Moore 1994, "Hoeffding Races". Each seed is a block that all points share, so what it adds to every
point cancels (Moore and Lee 1994, "Efficient Algorithms for Minimizing Cross Validation Error"). Comparison: a t test
of the mean difference, one-sided, at the same level for every comparison, as in irace (López-Ibáñez et al. 2016,
doi:10.1016/j.orp.2016.09.002). Its variance is that of a randomised block design, pooled over the better half of the
points with two seeds or more. One seed can therefore be enough to drop a point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, inf, sqrt
from statistics import fmean

from cifar_lab.analysis.stats.significance import t_critical
from cifar_lab.config.sheets import Search
from cifar_lab.studies.space.groups import by_group
from cifar_lab.studies.space.points import Point

PILOT_POINTS, PILOT_SHARE = 10, 0.1
"""Points that train with the second seed before the others: at least so many, and this share. They show how much seeds
change a difference, and most of the other points then need no second seed."""

FEWEST_POOLED = 5
"""Points whose variance is pooled, at least."""


class Race:
    """Race of one group of points. The same results give the same steps."""

    def __init__(self, names: Sequence[str], seeds: int, error: float, kept: int) -> None:
        """
        Args:
            names: points in the order of the sweep.
            seeds: number of seeds. The race ends after the last one.
            error: probability that one comparison drops a point that is as good as the leader.
            kept: points that are never dropped by a comparison.
        """
        self.seeds, self.error, self.kept = seeds, error, kept
        self.results: dict[str, list[float]] = {name: [] for name in names}
        """Validation accuracy per seed, 0 to 1."""
        self.dropped: dict[str, int] = {}
        """Number of seeds after which a point was dropped, by name."""
        self.behind: dict[str, float] = {}
        """Mean difference to the leader over the shared seeds, at the last comparison of each point."""
        self._lost: set[str] = set()
        self._beaten: set[str] = set()
        """Points that a comparison would have dropped if there were more than `kept`."""

    @property
    def running(self) -> list[str]:
        """Points that may still win, in the order of the sweep."""
        return [name for name in self.results if name not in self.dropped]

    @property
    def leader(self) -> str | None:
        """Best of the points with most seeds. None before the first result."""
        tried = [name for name in self._sound if self.results[name]]
        most = max((len(self.results[name]) for name in tried), default=0)
        return max((n for n in tried if len(self.results[n]) == most), key=self.mean, default=None)

    def mean(self, name: str) -> float:
        """Mean validation accuracy of a point over its seeds."""
        return fmean(self.results[name])

    def next_points(self) -> list[str]:
        """Points that train with their next seed, the one after `len(results)`. Empty where the race is over."""
        sound = self._sound
        fewest = min((len(self.results[name]) for name in sound), default=self.seeds)
        if fewest >= self.seeds or self._is_decided():
            return []
        waiting = [name for name in sound if len(self.results[name]) == fewest]
        if fewest == 1 and len(waiting) == len(sound):
            ranked = sorted(waiting, key=self.mean, reverse=True)
            pilot = set(ranked[: self._pilot_size(len(waiting))])
            return [name for name in waiting if name in pilot]
        return waiting

    def fewest_runs(self) -> int:
        """Smallest number of runs that the race still needs."""
        size = len(self.next_points())
        is_first = not any(self.results.values())
        return size + (self._pilot_size(size) if is_first and size > 1 else 0)

    def most_runs(self) -> int:
        """Largest number of runs that the race may still need."""
        if len(self.results) == 1:
            return self.fewest_runs()
        return sum(self.seeds - len(self.results[name]) for name in self._sound) if self.next_points() else 0

    def add(self, accuracies: Mapping[str, Sequence[float | None]]) -> None:
        """Add the results of the next seed and drop points.

        Args:
            accuracies: by point, one accuracy from 0 to 1. None for a run that diverged, empty for one that failed.
        """
        for name, values in accuracies.items():
            if values and values[0] is not None:
                self.results[name].append(values[0])
            else:
                self._lost.add(name)
        if sound := self._sound:
            self.dropped |= {n: len(self.results[n]) + 1 for n in self.running if n not in sound}
        self._compare()

    def _pilot_size(self, points: int) -> int:
        """Number of points that train with the second seed first."""
        return min(points, max(PILOT_POINTS, self.kept, ceil(PILOT_SHARE * points)))

    @property
    def _sound(self) -> list[str]:
        return [name for name in self.running if name not in self._lost]

    def _is_decided(self) -> bool:
        """Whether the leader is ahead of every other point, and no more than `kept` points are left."""
        sound = self._sound
        counts = {len(self.results[name]) for name in sound}
        if counts == {0}:
            return False
        return len(sound) <= 1 or (len(counts) == 1 and self._beaten == set(sound) - {self.leader})

    def _compare(self) -> None:
        """Drop the points that are behind the leader by more than chance explains, the last one first."""
        leader, sound = self.leader, self._sound
        self._beaten = set()
        if leader is None:
            return
        self.behind |= {name: self._difference(leader, name) for name in sound}
        margin = self.margin()
        shared = {name: min(len(self.results[name]), len(self.results[leader])) for name in sound}
        excess = {name: self.behind[name] - margin / sqrt(shared[name]) for name in sound if self.behind[name] > 0}
        beaten = sorted((name for name in excess if excess[name] > 0), key=lambda name: -self.behind[name])
        out = beaten[: max(0, len(sound) - self.kept)]
        self.dropped |= {name: len(self.results[name]) for name in out}
        self._beaten = set(beaten) - set(out)

    def margin(self) -> float:
        """Difference over one shared seed above which a point is dropped. Infinite without a variance."""
        square, dof = self.residuals()
        return t_critical(1 - 2 * self.error, dof) * sqrt(2 * square / dof) if dof else inf

    def residuals(self) -> tuple[float, int]:
        """(sum of squares, degrees of freedom) of what neither the point nor the seed explains.

        Points that learn nothing vary less than good ones, so the worse half is left out.
        """
        tried = [row for name, row in self.results.items() if len(row) > 1 and name not in self._lost]
        tried.sort(key=fmean, reverse=True)
        blocks: dict[int, list[list[float]]] = {}
        for row in tried[: max(FEWEST_POOLED, ceil(len(tried) / 2))]:
            blocks.setdefault(len(row), []).append(row)
        square, dof = 0.0, 0
        for seeds, rows in blocks.items():
            columns = [fmean(column) for column in zip(*rows, strict=True)]
            whole = fmean(columns)
            for row in rows:
                mean = fmean(row)
                square += sum((x - mean - c + whole) ** 2 for x, c in zip(row, columns, strict=True))
            dof += (len(rows) - 1) * (seeds - 1)
        return square, dof

    def _difference(self, leader: str, name: str) -> float:
        """Mean difference of the leader and a point over the seeds that both have."""
        pairs = zip(self.results[leader], self.results[name], strict=False)
        return fmean(best - other for best, other in pairs)


class Races:
    """One race per group of points, whose steps train together."""

    def __init__(self, points: Sequence[Point], search: Search) -> None:
        assert search.racing is not None
        self.error, self._order = search.racing.error, [point.name for point in points]
        self.by_group = {
            group: Race([point.name for point in own], len(search.seeds), self.error, search.kept)
            for group, own in by_group(points, search).items()
        }
        self._race_of = {name: race for race in self.by_group.values() for name in race.results}

    @property
    def dropped(self) -> dict[str, int]:
        """Number of seeds after which a point was dropped, by name."""
        return {name: seeds for race in self.by_group.values() for name, seeds in race.dropped.items()}

    def next_points(self) -> list[str]:
        """Points that train with their next seed, in the order of the sweep. Empty where every race is over."""
        chosen = {name for race in self.by_group.values() for name in race.next_points()}
        return [name for name in self._order if name in chosen]

    def seeds_before(self, name: str) -> int:
        """Number of seeds that a point has trained with."""
        return len(self._race_of[name].results[name])

    def runs_left(self) -> tuple[int, int]:
        """Fewest and most runs that the races still need, the next step included."""
        races = self.by_group.values()
        return sum(race.fewest_runs() for race in races), sum(race.most_runs() for race in races)

    def behind(self, name: str) -> float | None:
        """Mean difference to the leader at the last comparison of a point. None before the first."""
        return self._race_of[name].behind.get(name)

    def add(self, accuracies: Mapping[str, Sequence[float | None]]) -> None:
        """Add the results of a step. See `Race.add`."""
        for race in self.by_group.values():
            if own := {name: values for name, values in accuracies.items() if name in race.results}:
                race.add(own)
