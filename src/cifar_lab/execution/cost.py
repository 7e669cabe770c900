"""Cost model: how many seconds runs take, by measured runs or else by a guess. No torch.

`RunSeconds` orders tasks and gives the remaining time of a command. `MachineSpeeds` gives the time of runs before their
start, for `plan` and `sweep` (`wall_time`). Both fall back on `guess_seconds`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, TypeAlias

from cifar_lab.config import Model, Settings, WideModel
from cifar_lab.config.own_code import plain_reason
from cifar_lab.config.registry import GROUP_IMAGES
from cifar_lab.config.rules import train_size
from cifar_lab.core.errors import DataError
from cifar_lab.core.host import device_names, has_gpu
from cifar_lab.core.text import count
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder, Unusable, run_ids

if TYPE_CHECKING:
    from cifar_lab.execution.plan import PlannedRun

STEP_SECONDS, GROUP_SECONDS = 0.1e-3, 0.4e-3
"""Time of a training step of Net, and of each group of its images, with the `kernels` backend on one thread. Fitted to
0.49, 1.65 and 13.0 ms for steps of 16, 64 and 512 images."""

TIMES_NET = {"Net1": 1.3, "Net3": 3.0, "CifarNet": 175.0, "ResNet18": 98.0}
"""Step time of a model relative to Net, at 64 images. Other models count as Net."""

NET_PRODUCTS = 651_640
"""Multiplications of one image in the layers of Net."""

GUESSED_MODELS = ("Net", "Net1", "Net2")
"""Models small enough that the guess is worth printing before the first run on this machine."""

DEFAULT_IMAGES = 50_000
"""Training images where the settings do not state the number."""

SAMPLED_RECORDS = 200
"""Records of a results folder that are read for their times. Ids are hashes, so the first are a fair sample."""

RunShape: TypeAlias = tuple[object, ...]
"""Key of runs that take about the same time. Rates, schedule and seed have little effect."""


def guess_seconds(settings: Settings, images: int | None = None) -> float:
    """Guess the training time on one core, from images, batch size and model.

    Args:
        images: training images over all epochs. None takes the whole run.
    """
    if images is None:
        train = train_size(settings) or DEFAULT_IMAGES
        images = settings.epochs * (train - settings.data.val_count(train))
    batch = settings.data.batch_size
    net = images / batch * (STEP_SECONDS + GROUP_SECONDS * math.ceil(batch / GROUP_IMAGES))
    return net * _times_net(settings.model)


def _times_net(model: Model) -> float:
    """Step time of a model relative to Net. That of Wide is guessed from its multiplications."""
    if not isinstance(model, WideModel):
        return TIMES_NET.get(model.name, 1.0)
    (first, second), (third, fourth) = model.channels, model.widths
    convolutions = 28**2 * 75 * first + 10**2 * 25 * first * second
    linear = 25 * second * third + third * fourth + 10 * fourth
    return (convolutions + linear) / NET_PRODUCTS


class RunSeconds:
    """Seconds per run, learned from the finished runs of a plan and from the epochs of the command."""

    def __init__(self, planned: Iterable[PlannedRun] = ()) -> None:
        self._known: dict[RunShape, _Mean] = defaultdict(_Mean)
        self._ratio = _Mean()
        """Measured time divided by the guess."""
        self._guesses: dict[RunShape, float] = {}
        self._shapes: dict[int, tuple[Settings, RunShape]] = {}
        for run in planned:
            if run.record is not None and run.record.status == "done":
                self.learn(run.job.settings, run.record.train_seconds)

    def learn(self, settings: Settings, seconds: float) -> None:
        """Add a measurement, in seconds for all epochs."""
        shape = self.shape(settings)
        self._known[shape].add(seconds)
        self._ratio.add(seconds / self._guesses[shape])

    @property
    def is_measured(self) -> bool:
        """Whether any measurement was added."""
        return self._ratio.count > 0

    def shape(self, settings: Settings) -> RunShape:
        """Key of the runs that are expected to take as long as one of these settings."""
        # Cached per object: the seeds of an arm share their settings. Holding the object keeps its id unique.
        kept = self._shapes.get(id(settings))
        if kept is None:
            kept = self._shapes[id(settings)] = settings, _shape(settings)
            self._guesses.setdefault(kept[1], guess_seconds(settings))
        return kept[1]

    def seconds_per_run(self, shape: RunShape) -> float:
        """Mean of the measured runs of the shape, else the guess scaled by the measurements of other shapes."""
        if shape in self._known:
            return self._known[shape].value
        return self._guesses[shape] * (self._ratio.value if self.is_measured else 1.0)


class _Mean:
    def __init__(self) -> None:
        self.count, self._sum = 0, 0.0

    def add(self, value: float) -> None:
        self.count += 1
        self._sum += value

    @property
    def value(self) -> float:
        return self._sum / self.count


def _shape(settings: Settings) -> RunShape:
    return (
        settings.data.model_dump_json(exclude={"split_seed", "data_seed"}),
        settings.model.model_dump_json(),
        settings.epochs,
        (settings.fine_tune.freeze_epochs, settings.fine_tune.gradual_unfreeze),
        settings.runtime.model_dump_json(),
        plain_reason(settings),
    )


@dataclass(frozen=True)
class Timing:
    """A time and its source."""

    seconds: float | None
    """None where it is unknown."""
    doubt: int
    """0 for measured times, larger for less certain sources."""
    source: str
    """In words."""
    run_ids: frozenset[str] = frozenset()
    """Runs that were measured."""


class MachineSpeeds:
    """Training seconds per image on this machine, by model and batch size."""

    def __init__(self, records: Sequence[Record]) -> None:
        """`records` may include runs of other machines, which are ignored."""
        devices = device_names()
        seen: dict[tuple[str, str, str], dict[int, list[tuple[str, float]]]] = {}
        for record in records:
            environment, images = record.environment, record.epochs_trained * record.data.train_size
            if images and record.settings and environment.device_name in devices.get(environment.device, ()):
                model = network_key(record.settings["model"])
                by_batch = seen.setdefault((environment.device, environment.kernels, model), {})
                # The members of a cohort share the seconds in which it trained.
                seconds = record.train_seconds / environment.cohort / images
                by_batch.setdefault(record.settings["data"]["batch_size"], []).append((record.run_id, seconds))
        self._per_image = seen
        self._runs = sum(len(runs) for by_batch in seen.values() for runs in by_batch.values())

    def training(self, settings: Settings, images: int) -> Timing:
        """Time to train on `images`, counted over all epochs: median of the nearest batch size, else a guess."""
        model, batch = settings.model.name, settings.data.batch_size
        device = "cuda" if takes_gpu(settings) else "cpu"
        key = network_key(settings.model.model_dump(mode="json"))
        by_torch, by_own = (self._per_image.get((device, kernels, key)) for kernels in ("torch", "own"))
        # Where our own kernels were used once they will be again, unless the settings say otherwise.
        may_use_own = settings.runtime.kernels != "torch" and plain_reason(settings) is None
        measured = by_own if by_own is not None and may_use_own else by_torch
        if measured is not None:
            nearest = min(measured, key=lambda size: abs(math.log(size / batch)))
            seconds = images * median(each for _, each in measured[nearest])
            source = f"measured on {count(self._runs, 'run')} here"
            if nearest != batch:
                source += ", not all of these batch sizes"
            return Timing(seconds, int(nearest != batch), source, frozenset(run_id for run_id, _ in measured[nearest]))
        if device == "cpu" and model in GUESSED_MODELS:
            source = "estimated from another machine, because this one has no run of the model yet"
            return Timing(guess_seconds(settings, images), 2, source)
        return Timing(None, 4, f"no run of {model} exists on this machine yet")


def network_key(model: Mapping[str, Any]) -> str:
    """Name of a model, with the sizes that settings choose."""
    return " ".join(str(model[name]) for name in ("name", "channels", "widths", "batch_norm") if name in model)


def measured_records(records: Sequence[Record], results: Path) -> list[Record]:
    """The given records and a sample of the results folder, each run once. Unusable records are named."""
    found = {record.run_id: record for record in records}
    for run_id in run_ids(results)[:SAMPLED_RECORDS]:
        folder = RunFolder(results, run_id)
        try:
            record = folder.read_record()
        except DataError as fault:
            Unusable(folder, fault).tell()
            continue
        if record is not None:
            found[run_id] = record
    return list(found.values())


def takes_gpu(settings: Settings) -> bool:
    """Whether runs of these settings use a GPU of this machine."""
    return settings.runtime.device != "cpu" and has_gpu()
