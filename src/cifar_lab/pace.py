"""How long runs take: measured where runs of the same shape are done, else guessed from their settings. No torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TypeAlias

from cifar_lab.config import Settings, Synthetic
from cifar_lab.plan import PlannedRun

STEP_SECONDS, IMAGE_SECONDS = 0.45e-3, 65e-6
"""A training step of Net on one thread takes about 0.45 ms and 65 microseconds an image (the table in `threads`)."""

TIMES_NET = {"ResNet18": 40.0}
"""How many times as long as Net a model's step takes (`model_facts` has the measurement); others count as Net."""

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
    data = settings.data
    images = (data.train_size if isinstance(data, Synthetic) else USUAL_IMAGES) - data.val_size
    steps = max(1, images // data.batch_size)
    epoch = steps * STEP_SECONDS + images * IMAGE_SECONDS
    return settings.epochs * epoch * TIMES_NET.get(settings.model.name, 1.0)


def _shape(settings: Settings) -> Shape:
    return (
        settings.data.model_dump_json(exclude={"split_seed", "data_seed"}),
        settings.model.model_dump_json(),
        settings.epochs,
        settings.runtime.model_dump_json(),
    )
