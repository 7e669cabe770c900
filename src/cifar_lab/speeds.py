"""How long a run takes on this machine: from runs that were made on it, or a guess that says what it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from cifar_lab.config import Settings
from cifar_lab.machine import gpu_names, has_gpu, processor_name
from cifar_lab.progress import count
from cifar_lab.records import Record

STEP_SECONDS, IMAGE_SECONDS = 0.0004, 0.000066
"""Of a step of Net and of each of its images on one thread: fitted to the first row of the table in `threads`."""

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


class Speeds:
    """Seconds of training by model and batch size."""

    def __init__(self, records: Sequence[Record]) -> None:
        """`records`: runs of any machine; those of this one count."""
        here = {"cpu": {processor_name()}, "cuda": set(gpu_names())}
        seen: dict[tuple[str, str], dict[int, list[float]]] = {}
        for record in records:
            environment, images = record.environment, record.epochs_trained * record.data.train_size
            if images and environment.device_name in here.get(environment.device, ()):
                by_batch = seen.setdefault((environment.device, record.settings["model"]["name"]), {})
                # The members of a cohort share the seconds in which it trained.
                each = record.train_seconds / environment.cohort / images
                by_batch.setdefault(record.settings["data"]["batch_size"], []).append(each)
        self._an_image = {kind: {size: median(each) for size, each in found.items()} for kind, found in seen.items()}
        self._runs = sum(len(each) for found in seen.values() for each in found.values())

    def training(self, settings: Settings, images: int) -> Timed:
        """Of training on `images` in all."""
        model, batch = settings.model.name, settings.data.batch_size
        device = "cuda" if takes_gpu(settings) else "cpu"
        measured = self._an_image.get((device, model))
        if measured is not None:
            nearest = min(measured, key=lambda size: abs(math.log(size / batch)))
            source = f"measured on {count(self._runs, 'run')} here"
            if nearest == batch:
                return Timed(images * measured[nearest], 0, source)
            return Timed(images * measured[nearest], 1, f"{source}, not all of these batch sizes")
        if device == "cpu" and model in LIKE_NET:
            guess = images * (IMAGE_SECONDS + STEP_SECONDS / batch)
            return Timed(guess, 2, "guessed from another machine, since no run of the model was made here yet")
        return Timed(None, 4, f"no run of {model} was made here yet")


def takes_gpu(settings: Settings) -> bool:
    """Whether a run of these settings is made on a GPU."""
    return settings.runtime.device != "cpu" and has_gpu()
