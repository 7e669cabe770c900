"""Settings that a search trains and confirms, and the choice of its winners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import fmean

from cifar_lab.config import Data, Settings
from cifar_lab.config.io.load import with_values
from cifar_lab.config.rules import contradictions
from cifar_lab.config.sheets import Search
from cifar_lab.data import DatasetCatalog
from cifar_lab.studies.space.groups import by_group, group_key
from cifar_lab.studies.space.points import Point

TENTH = 0.1
"""Share of the validation split of a search that states none."""

MOST = 5_000
"""Largest validation split of a search that states none, in images."""


def with_val_size(search: Search, data: Data, images: DatasetCatalog) -> Search:
    """The search with the size of its validation split in images, where it states none and the images are known."""
    if search.val_size is not None:
        return search
    info = images.known(data) or images.counted(data)
    sizes = data.sizes()
    if data.has_validation():
        size = MOST  # not used
    elif info is not None:
        size = min(MOST, max(len(info.classes), info.train_size // 10))
    elif sizes is not None:
        size = min(MOST, max(sizes.classes, sizes.train // 10))
    else:
        return search
    return search.model_copy(update={"val_size": size})


@dataclass(frozen=True)
class SearchRuns:
    """Number of runs of a search. The fields are keys of winners.json."""

    searched: int
    """All runs."""
    failed: int
    """Runs without a record."""
    diverged: int
    """Runs with a loss that became infinite or NaN."""


@dataclass(frozen=True)
class Ranked:
    """A point with its rank in the search."""

    rank: int
    """1 is best."""
    point: Point
    val_accuracy: float
    """Mean over the seeds that did not diverge, 0 to 1."""
    seeds_searched: int
    """All seeds, including those that diverged."""
    group: str = ""
    """Name of the group that it is the best of. Empty where the points are one group."""
    tried: int = 0
    """Number of points of that group. 0 without groups."""


def search_settings(point_settings: Settings, search: Search) -> Settings:
    """Settings of a point in the search: with a validation split, and the seeds of the search.

    Raises:
        SettingsError: the validation split does not fit.
    """
    data = point_settings.data
    val_size = data.val_size if data.has_validation() else search.val_size or TENTH
    data = _with_val_size(data, val_size)
    settings = point_settings.model_copy(update={"data": data, "seeds": search.seeds})
    # A full check of ten thousand points is slow, and each value has been checked already.
    if not contradictions(settings):
        return settings
    values = {"data.val_size": val_size, "seeds": list(search.seeds)}
    return with_values(point_settings, values, where=f"search of {point_settings.label}")


@lru_cache(maxsize=256)
def _with_val_size(data: Data, val_size: float) -> Data:
    """One shared object for all points with the same images."""
    return data.model_copy(update={"val_size": val_size})


def confirm_settings(point_settings: Settings, search: Search) -> Settings:
    """Settings of a point when it is confirmed and tested: the validation split of the file, and fresh seeds.

    Raises:
        SettingsError: the seeds are not valid.
    """
    return with_values(
        point_settings, {"seeds": list(search.confirm_seeds)}, where=f"confirming {point_settings.label}"
    )


def choose_winners(
    points: Sequence[Point], val_accuracies: Mapping[str, Sequence[float | None]], search: Search
) -> tuple[Ranked, ...]:
    """Rank the best points, or with `search.per` the best point of each group. Arguments as of `pick_winners`."""
    if not search.group_keys:
        return pick_winners(points, val_accuracies, search.top)
    groups = by_group(points, search)
    best = [
        replace(winner, group=name, tried=len(group))
        for name, group in groups.items()
        for winner in pick_winners(group, val_accuracies, 1)
    ]
    best.sort(key=lambda winner: -winner.val_accuracy)
    return tuple(replace(winner, rank=rank) for rank, winner in enumerate(best, start=1))


def reference_winner(winners: Sequence[Ranked], base: Settings, search: Search) -> Ranked | None:
    """Winner that the other groups are compared with: that of the base's group, else the first of all."""
    if not search.group_keys:
        return None
    own = group_key(base, search)
    same = (winner for winner in winners if group_key(winner.point.settings, search) == own)
    return next(same, next(iter(winners), None))


def pick_winners(
    points: Sequence[Point], val_accuracies: Mapping[str, Sequence[float | None]], top: int
) -> tuple[Ranked, ...]:
    """Rank the `top` best points by mean validation accuracy.

    Points without a diverged seed come before points with one. Equal points keep their order. Points without a finite
    accuracy are omitted.

    Args:
        points: in the order of the sweep.
        val_accuracies: accuracies per seed, 0 to 1, by point name. None where the run diverged.
        top: number of winners.
    """
    tried = []
    for order, point in enumerate(points):
        accuracies = val_accuracies.get(point.name, ())
        finite = [accuracy for accuracy in accuracies if accuracy is not None]
        if finite:
            mean = fmean(finite)
            key = (len(finite) < len(accuracies), -mean, order)
            tried.append((key, Ranked(0, point, mean, len(accuracies))))
    tried.sort(key=lambda pair: pair[0])
    return tuple(replace(ranked, rank=rank) for rank, (_, ranked) in enumerate(tried[:top], start=1))
