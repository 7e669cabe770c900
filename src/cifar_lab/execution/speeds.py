"""How long a run takes on this machine, before its start: by runs that were made on it, or a guess that says so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from cifar_lab.config import Settings
from cifar_lab.core.host import available_cores, gpu_names, has_gpu, processor_name
from cifar_lab.core.text import count
from cifar_lab.execution.cohorts import GPU_STREAMS
from cifar_lab.execution.pace import net_seconds
from cifar_lab.store.records import Record

LIKE_NET = ("Net", "Net1", "Net2")
"""Models of that size."""


@dataclass(frozen=True)
class Timed:
    """Seconds, and how they are known."""

    seconds: float | None
    doubt: int
    """0 is measured; the larger the less is known."""
    source: str
    """In words."""
    runs: frozenset[str] = frozenset()
    """Ids of those that they were measured on."""


class Speeds:
    """Seconds of training by model and batch size."""

    def __init__(self, records: Sequence[Record]) -> None:
        """`records`: runs of any machine; those of this one count."""
        here = {"cpu": {processor_name()}, "cuda": set(gpu_names())}
        seen: dict[tuple[str, str, str], dict[int, list[tuple[str, float]]]] = {}
        for record in records:
            environment, images = record.environment, record.epochs_trained * record.data.train_size
            if images and environment.device_name in here.get(environment.device, ()):
                model = record.settings["model"]["name"]
                by_batch = seen.setdefault((environment.device, environment.kernels, model), {})
                # The members of a cohort share the seconds in which it trained.
                each = record.train_seconds / environment.cohort / images
                by_batch.setdefault(record.settings["data"]["batch_size"], []).append((record.run_id, each))
        self._an_image = seen
        self._runs = sum(len(each) for found in seen.values() for each in found.values())

    def training(self, settings: Settings, images: int) -> Timed:
        """Of training on `images` in all."""
        model, batch = settings.model.name, settings.data.batch_size
        device = "cuda" if takes_gpu(settings) else "cpu"
        torchs = self._an_image.get((device, "torch", model))
        own = self._an_image.get((device, "own", model))
        # Where our own kernels were used once they will be again, unless the settings say otherwise.
        measured = own if own is not None and settings.runtime.kernels != "torch" else torchs
        if measured is not None:
            nearest = min(measured, key=lambda size: abs(math.log(size / batch)))
            seconds = images * median(each for _, each in measured[nearest])
            runs = frozenset(run_id for run_id, _ in measured[nearest])
            source = f"measured on {count(self._runs, 'run')} here"
            if nearest == batch:
                return Timed(seconds, 0, source, runs)
            return Timed(seconds, 1, f"{source}, not all of these batch sizes", runs)
        if device == "cpu" and model in LIKE_NET:
            return Timed(
                net_seconds(images, batch),
                2,
                "guessed from another machine, since no run of the model was made here yet",
            )
        return Timed(None, 4, f"no run of {model} was made here yet")


def side_by_side(settings: Settings, workers: int | None, runs: float) -> int:
    """How many of so many runs like that train at a time; `workers` as in `Workplace`."""
    if takes_gpu(settings):
        return max(1, len(gpu_names())) * (workers or GPU_STREAMS)
    return max(1, min(workers or available_cores(), round(runs)))


def takes_gpu(settings: Settings) -> bool:
    """Whether a run of these settings is made on a GPU."""
    return settings.runtime.device != "cpu" and has_gpu()
