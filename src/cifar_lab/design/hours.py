"""How long runs will take, from runs that were made: of the same recipe, else of the same model and batch size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from cifar_lab.config import Settings
from cifar_lab.machine import has_gpu, processor_name
from cifar_lab.records import Record


@dataclass(frozen=True)
class Cost:
    """Of the runs that are still to make."""

    hours: float | None
    """Wall time with `workers` runs side by side; None where a kind of run was never made here."""
    workers: int
    measured: int
    """Runs that the time is taken from."""
    unknown: tuple[str, ...] = ()
    """Labels of arms of which no run like theirs was made here."""


def seconds_a_run(settings: Settings, records: Sequence[Record]) -> float | None:
    """Median training time of runs of this model, batch size and device, an epoch each, times the epochs."""
    times = [
        record.train_seconds / record.environment.cohort / record.epochs_trained for record in like(settings, records)
    ]
    return median(times) * settings.epochs if times else None


def like(settings: Settings, records: Sequence[Record]) -> list[Record]:
    """Runs on this machine of the same model and batch size."""
    device = "cuda" if settings.runtime.device != "cpu" and has_gpu() else "cpu"
    here = processor_name()
    return [
        record
        for record in records
        if record.epochs_trained
        and record.settings["model"]["name"] == settings.model.name
        and record.settings["data"]["batch_size"] == settings.data.batch_size
        and record.environment.device == device
        and (device == "cuda" or record.environment.device_name == here)
    ]


def cost(to_make: Sequence[tuple[Settings, int]], records: Sequence[Record], workers: int) -> Cost:
    """What runs take.

    Args:
        to_make: settings of each arm and how many runs of it are missing.
        records: of this results folder.
        workers: runs side by side, as the records were made.
    """
    wanted = [(settings, count) for settings, count in to_make if count]
    times = [(settings, count, seconds_a_run(settings, records)) for settings, count in wanted]
    measured = {record.run_id for settings, _ in wanted for record in like(settings, records)}
    unknown = tuple(settings.label for settings, _, seconds in times if seconds is None)
    total = sum(count * seconds for _, count, seconds in times if seconds is not None)
    side_by_side = max(1, min(workers, sum(count for _, count in wanted)))
    return Cost(None if unknown else total / side_by_side / 3600, side_by_side, len(measured), unknown)
