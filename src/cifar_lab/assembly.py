"""From settings to the objects that train: resident images, networks, optimizer, schedule."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from torch import nn

from cifar_lab import data, models
from cifar_lab.config import Data, ImageFolder, Model, Settings
from cifar_lab.data.batches import Normalizer, ResidentSplit
from cifar_lab.identity import DATA_SOURCE_KEYS
from cifar_lab.optim import flatten_parameters, make_optimizer, make_schedule
from cifar_lab.records import DataIdentity
from cifar_lab.runtime import Execution, seeded_init
from cifar_lab.train import Cohort


def load_training_data(
    settings: Settings, fingerprint: str, execution: Execution
) -> tuple[ResidentSplit, ResidentSplit | None, DataIdentity]:
    """(training split, validation split or None, what they are) on the run's device; the test split is not touched.

    Raises:
        DataError: the images are not those of `fingerprint`, after which the run is named.
    """
    options, info = settings.data, data.prepare(settings.data)
    source = type(options).model_validate(options.model_dump(include=set(DATA_SOURCE_KEYS)))
    split = _training_split(source, fingerprint)
    normalizer = make_normalizer(settings, info, execution)
    images = split.images if options.val_size else None
    # Exact copies of an image stay on one side of the split, so that validation never sees what was trained on.
    chosen, held_out = data.validation_split(split.labels, options.val_size, options.split_seed, images)
    identity = DataIdentity(
        name=info.name,
        folder=Path(options.root).stem if isinstance(options, ImageFolder) else "",
        fingerprint=fingerprint,
        split_hash=data.split_hash(held_out) if options.val_size else None,
        classes=info.classes,
        train_size=len(chosen),
        val_size=len(held_out),
        test_size=info.test_size,
    )
    if not options.val_size:
        return ResidentSplit(split.images, split.labels, normalizer), None, identity
    training = ResidentSplit(split.images[chosen], split.labels[chosen], normalizer)
    return training, ResidentSplit(split.images[held_out], split.labels[held_out], normalizer), identity


def make_normalizer(settings: Settings, info: data.DataInfo, execution: Execution) -> Normalizer:
    """The normalisation of the run, from the training images' statistics where it needs them."""
    return Normalizer.make(
        settings.data.normalize,
        info.channel_mean,
        info.channel_std,
        execution.device,
        models.memory_format(settings.model, execution.device.type),
    )


@lru_cache(maxsize=1)
def _training_split(source: Data, fingerprint: str) -> data.Split:
    """Kept between the runs of one process, which mostly share it."""
    return data.load_train(source, fingerprint)


def place(network: nn.Module, model: Model, execution: Execution) -> nn.Module:
    """The network on the run's device, in the memory format of its model, on which its rounding depends."""
    return network.to(execution.device).to(memory_format=models.memory_format(model, execution.device.type))


def build_cohort(
    settings: Sequence[Settings], seeds: Sequence[int], num_classes: int, steps_per_epoch: int, execution: Execution
) -> Cohort:
    """Fresh networks, one a member, each from the streams of its own seed, with their optimizer and schedule."""
    networks = []
    for member, seed in zip(settings, seeds, strict=True):
        with seeded_init(seed):
            network = models.build(member.model, num_classes)
        networks.append(place(network, member.model, execution))
    parameters = flatten_parameters(networks)
    schedule = make_schedule(
        [member.scheduler for member in settings],
        [member.optimizer for member in settings],
        settings[0].epochs,
        steps_per_epoch,
    )
    if settings[0].runtime.compile:
        for network in networks:
            network.compile()
    return Cohort(networks, parameters, make_optimizer([member.optimizer for member in settings], parameters), schedule)
