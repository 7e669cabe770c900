"""How long the runs of a comparison will take: what `sweep` would say of the same runs before its start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cifar_lab.config import Settings
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.estimate import Part, seconds_of
from cifar_lab.execution.speeds import Speeds, side_by_side


@dataclass(frozen=True)
class Cost:
    """Of the runs that are still to make."""

    hours: float | None
    """Wall time with `workers` runs side by side; None where nothing is known of an arm."""
    workers: int
    measured: int
    """Runs that the time is taken from."""
    guess: str = ""
    """How else the time is known, in words; empty where runs of each model and batch size were made here."""
    unknown: tuple[str, ...] = ()
    """Labels of arms of which nothing is known."""


def cost(to_make: Sequence[tuple[Settings, int]], speeds: Speeds, images: DatasetCatalog, workers: int | None) -> Cost:
    """What runs take.

    Args:
        to_make: settings of each arm and how many runs of it are missing.
        speeds: of the runs that were made here.
        images: what the command has found of its images.
        workers: as in `Workplace`.
    """
    parts = [Part(settings, settings.epochs, count) for settings, count in to_make if count]
    slots = side_by_side(parts[0].settings, workers, sum(part.runs for part in parts)) if parts else 1
    timed = seconds_of(parts, speeds, slots, images)
    unknown = [part.settings.label for part in parts if seconds_of([part], speeds, slots, images).seconds is None]
    return Cost(
        None if timed.seconds is None else timed.seconds / 3600,
        slots,
        len(timed.runs),
        timed.source if timed.doubt > 0 else "",
        tuple(dict.fromkeys(unknown)),
    )
