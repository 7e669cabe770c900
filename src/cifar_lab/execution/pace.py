"""How long runs take while they are made: as those of the same shape that are done, else guessed. No torch."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import TypeAlias

from cifar_lab.config import Settings
from cifar_lab.config.model_catalog import GROUP_IMAGES
from cifar_lab.config.rules import train_size
from cifar_lab.execution.plan import PlannedRun

STEP_SECONDS, GROUP_SECONDS = 0.1e-3, 0.4e-3
"""Of a training step of Net and of each group of its images, on one thread by our own `kernels`, which take groups
whole: fitted to 0.49, 1.65 and 13.0 ms for steps of 16, 64 and 512 images."""

TIMES_NET = {"Net1": 1.3, "Net3": 3.0, "ResNet18": 98.0}
"""How many times as long as Net a model's step of 64 images takes; others count as Net."""

USUAL_IMAGES = 50_000
"""Training images where the settings do not say how many."""

Shape: TypeAlias = tuple[object, ...]
"""Equal for runs that take about as long as each other: optimizer, rates, schedule and seed do not matter much."""


class Pace:
    """Seconds that runs take; learns from those that are done."""

    def __init__(self, planned: Iterable[PlannedRun] = ()) -> None:
        """`planned`: a plan; its runs that are there already are the first that it learns from."""
        self._known: dict[Shape, _Mean] = defaultdict(_Mean)
        self._ratio = _Mean()
        self._guesses: dict[Shape, float] = {}
        self._shapes: dict[int, tuple[Settings, Shape]] = {}
        for run in planned:
            if run.record is not None and run.record.status == "done":
                self.learn(run.job.settings, run.record.train_seconds)

    def learn(self, settings: Settings, seconds: float) -> None:
        """A run of these settings took so long, all epochs together."""
        shape = self.shape(settings)
        self._known[shape].add(seconds)
        self._ratio.add(seconds / self._guesses[shape])

    @property
    def measured(self) -> bool:
        """Whether anything was learned."""
        return self._ratio.count > 0

    def shape(self, settings: Settings) -> Shape:
        """What runs of these settings have in common with others that take as long."""
        kept = self._shapes.get(id(settings))  # the seeds of an arm, and its events, share one object
        if kept is None:
            kept = self._shapes[id(settings)] = settings, _shape(settings)
            self._guesses.setdefault(kept[1], guess_seconds(settings))
        return kept[1]

    def seconds(self, shape: Shape) -> float:
        """Of a whole run of that shape: the mean of those that are done, else a guess, corrected by other shapes."""
        if shape in self._known:
            return self._known[shape].value
        return self._guesses[shape] * (self._ratio.value if self.measured else 1.0)


class _Mean:
    """The mean of what was added so far."""

    def __init__(self) -> None:
        self.count, self._sum = 0, 0.0

    def add(self, value: float) -> None:
        self.count += 1
        self._sum += value

    @property
    def value(self) -> float:
        return self._sum / self.count


def guess_seconds(settings: Settings) -> float:
    """Seconds of the whole run on one core, from its epochs, images, batch size and model."""
    images = (train_size(settings) or USUAL_IMAGES) - settings.data.val_size
    return net_seconds(settings.epochs * images, settings.data.batch_size) * TIMES_NET.get(settings.model.name, 1.0)


def net_seconds(images: int, batch_size: int) -> float:
    """Seconds of training Net on so many images in all, on one thread of the machine of the table."""
    return images / batch_size * (STEP_SECONDS + GROUP_SECONDS * math.ceil(batch_size / GROUP_IMAGES))


def _shape(settings: Settings) -> Shape:
    return (
        settings.data.model_dump_json(exclude={"split_seed", "data_seed"}),
        settings.model.model_dump_json(),
        settings.epochs,
        settings.runtime.model_dump_json(),
    )
