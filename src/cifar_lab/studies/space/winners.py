"""What a search trains, which of its points win, and how the winners are written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from statistics import fmean
from typing import Any

from cifar_lab.config import Data, Settings
from cifar_lab.config.io import with_values
from cifar_lab.config.io.search_rules import OF_METHODS
from cifar_lab.config.rules import contradictions
from cifar_lab.config.run_id import recipe
from cifar_lab.config.sheets import Search
from cifar_lab.studies.space.points import Point


@dataclass(frozen=True)
class SearchRuns:
    """How the runs of a search ended."""

    searched: int
    """Runs that the search asks for."""
    failed: int
    """Runs without a record."""
    diverged: int
    """Runs whose loss stopped to be finite."""


@dataclass(frozen=True)
class Ranked:
    """A point and how it did in the search."""

    rank: int
    """1 is best."""
    point: Point
    val_accuracy: float
    """Mean over the seeds that did not diverge, 0 to 1."""
    seeds_searched: int
    """Seeds tried, those that diverged among them."""


def search_settings(point_settings: Settings, search: Search) -> Settings:
    """What the search trains: a validation split where there is none, and the search's seeds.

    Raises:
        SettingsError: the validation split does not fit.
    """
    val_size = point_settings.data.val_size or search.val_size
    data = _with_val_size(point_settings.data, val_size)
    settings = point_settings.model_copy(update={"data": data, "seeds": search.seeds})
    if not contradictions(settings):  # each value has been checked, and a sweep may have ten thousand points
        return settings
    values = {"data.val_size": val_size, "seeds": list(search.seeds)}
    return with_values(point_settings, values, where=f"search of {point_settings.label}")


@lru_cache(maxsize=256)
def _with_val_size(data: Data, val_size: int) -> Data:
    """One object for all points that share their images."""
    return data.model_copy(update={"val_size": val_size})


def confirm_settings(point_settings: Settings, search: Search) -> Settings:
    """What is trained again and tested: the point with its own validation split, if any, and fresh seeds.

    Raises:
        SettingsError: the seeds are not valid.
    """
    return with_values(
        point_settings, {"seeds": list(search.confirm_seeds)}, where=f"confirming {point_settings.label}"
    )


def pick_winners(
    points: Sequence[Point], val_accuracies: Mapping[str, Sequence[float | None]], top: int
) -> tuple[Ranked, ...]:
    """The `top` best points, by mean validation accuracy.

    Points of which no seed diverged come first, then those of which some did. Equal points keep their order. Points
    without a finite result are left out.

    Args:
        points: in the order of the sweep.
        val_accuracies: name of the point → one number a seed, 0 to 1; None where the run diverged.
        top: how many.
    """
    tried = []
    for order, point in enumerate(points):
        numbers = val_accuracies.get(point.name, ())
        finite = [number for number in numbers if number is not None]
        if finite:
            mean = fmean(finite)
            key = (len(finite) < len(numbers), -mean, order)
            tried.append((key, Ranked(0, point, mean, len(numbers))))
    tried.sort(key=lambda pair: pair[0])
    return tuple(replace(ranked, rank=rank) for rank, (_, ranked) in enumerate(tried[:top], start=1))


def search_document(search: Search) -> dict[str, Any]:
    """What a sweep file says of its search, settings that its method has not left out: as plan.json has it."""
    idle = {name for name, methods in OF_METHODS.items() if search.method not in methods}
    if search.halving is None:
        idle.add("halving")
    return search.model_dump(mode="json", exclude=idle)


def winners_document(
    sweep: str,
    base: Settings,
    search: Search,
    winners: Sequence[Ranked],
    *,
    points: int,
    runs: SearchRuns,
    base_val_accuracy: float | None,
    fingerprint: str,
    plan_sha256: str,
    pruned: int = 0,
) -> dict[str, Any]:
    """The content of `results/sweeps/<name>/winners.json`.

    Args:
        sweep: name of the sweep.
        base: settings of the control; with the confirming seeds it is trained beside the winners.
        search: how the sweep searched.
        winners: best first.
        points: number of points that were tried.
        runs: how the runs of the search ended.
        base_val_accuracy: mean validation accuracy of the base in the search, if it was tried.
        fingerprint: of the images that the base was trained on, 64 hex digits.
        plan_sha256: of the bytes of plan.json, which holds the points and the search, 64 hex digits.
        pruned: points that were not trained to their end, because others were better until then.
    """
    return {
        "sweep": sweep,
        "plan_sha256": plan_sha256,
        "fingerprint": fingerprint,
        "search": {
            "method": search.method,
            "seeds": list(search.seeds),
            "val_size": base.data.val_size or search.val_size,
            **({"halving": search.halving.model_dump(mode="json")} if search.halving else {}),
        },
        "confirm_seeds": list(search.confirm_seeds),
        "points": points,
        **({"pruned": pruned} if search.halving else {}),
        "runs": asdict(runs),
        "control": {
            "label": base.label,
            "recipe": recipe(confirm_settings(base, search)),
            "val_accuracy": base_val_accuracy,
        },
        "winners": [
            {
                "rank": winner.rank,
                "label": winner.point.name,
                "recipe": recipe(confirm_settings(winner.point.settings, search)),
                "values": dict(winner.point.values),
                "val_accuracy": winner.val_accuracy,
                "seeds_searched": winner.seeds_searched,
            }
            for winner in winners
        ],
    }
