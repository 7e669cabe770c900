"""Objects that a run trains with, built from its settings: images on the device, networks, optimizer and schedule.

Split images are cached between the runs of a process, which mostly share them. Reading and splitting them would take
as long as an epoch of a small network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from cifar_lab import data, models
from cifar_lab.config import (
    CustomModel,
    CustomOptimizer,
    Data,
    Ema,
    ImageFolder,
    Optimizer,
    Settings,
    TorchOptimizer,
)
from cifar_lab.config.roles import source_fields
from cifar_lab.data.random_streams import seeded_init
from cifar_lab.data.resident_split import Normalizer, ResidentSplit
from cifar_lab.data.splits import Indices
from cifar_lab.models.flat_parameters import FlatParameters, flatten_parameters
from cifar_lab.models.initialisation import Covariance, initialise
from cifar_lab.models.user_code import forget_code
from cifar_lab.store.records import DataIdentity
from cifar_lab.training.averaging import WeightAverage
from cifar_lab.training.cohort import Cohort, Stacked
from cifar_lab.training.device import Execution
from cifar_lab.training.frozen_layers import freeze_for_epoch
from cifar_lab.training.held_parameters import HeldParameters
from cifar_lab.training.optim.factory import make_optimizer, make_rule
from cifar_lab.training.optim.layer_rates import with_layer_rates
from cifar_lab.training.optim.schedules import make_schedule
from cifar_lab.training.stages import Stage
from cifar_lab.training.unused_parameters import GradientWatch


def layout(settings: Settings, execution: Execution, *, stacked: bool) -> torch.memory_format:
    """Memory format of images for torch's kernels. Rounding depends on it.

    Optimizers of torch's class have contiguous parameters, because a `view` of a gradient may rely on it. The block
    kernel scores images in that format alone.
    """
    by_block = execution.own_kernels and execution.device.type != "cpu"
    if stacked or by_block or isinstance(settings.optimizer, TorchOptimizer | CustomOptimizer):
        return torch.contiguous_format
    return models.memory_format(settings.model, execution.device.type, execution.bf16)


def training_layout(execution: Execution, memory_format: torch.memory_format) -> torch.memory_format:
    """Memory format of training images and weights, given that of `layout`. This project's kernels have only one."""
    return torch.contiguous_format if execution.own_kernels else memory_format


def to_device(network: nn.Module, execution: Execution, memory_format: torch.memory_format) -> nn.Module:
    """Move a network to the run's device and memory format."""
    return network.to(execution.device).to(memory_format=memory_format)


class ValidationChoice(NamedTuple):
    """Validation images that the settings choose."""

    size: int
    seed: int
    indices: str | None
    """File that names them."""


class Splits(NamedTuple):
    """Training and validation split of a run. The test split is not part of it."""

    training: ResidentSplit
    validation: ResidentSplit | None
    """In the memory format of `layout`, because torch's kernels score it."""
    identity: DataIdentity


def load_training_data(
    settings: Settings, fingerprint: str, execution: Execution, memory_format: torch.memory_format
) -> Splits:
    """Load the splits onto the run's device. `memory_format` is that of `layout`.

    Raises:
        DataError: the images do not have `fingerprint`, which is part of the run's id.
    """
    options, info = settings.data, data.prepare(settings.data, fingerprint=fingerprint)
    source = type(options).model_validate(options.model_dump(include=set(source_fields(type(options)))))
    training = make_normalizer(settings, info, execution, training_layout(execution, memory_format))
    scoring = make_normalizer(settings, info, execution, memory_format)
    folder = Path(options.root).stem if isinstance(options, ImageFolder) else ""
    choice = ValidationChoice(options.val_count(info.train_size), options.split_seed, options.val_indices)
    splits = _splits(source, fingerprint, choice, folder, info, training, scoring)
    if settings.data.normalize != "channel":
        return splits
    statistics = {"channel_mean": info.channel_mean, "channel_std": info.channel_std}
    return splits._replace(identity=splits.identity.model_copy(update=statistics))


def make_normalizer(
    settings: Settings, info: data.DataInfo, execution: Execution, memory_format: torch.memory_format
) -> Normalizer:
    """Normalisation that `data.normalize` selects, from the statistics of the training images."""
    return Normalizer.make(
        settings.data.normalize, info.channel_mean, info.channel_std, execution.device, memory_format, info.side
    )


@lru_cache(maxsize=1)
def _splits(
    source: Data, fingerprint: str, choice: ValidationChoice, folder: str, info: data.DataInfo,
    training: Normalizer, scoring: Normalizer,
) -> Splits:  # fmt: skip
    split = _training_split(source, fingerprint)
    chosen, held_out = _cut(split, choice, info)
    identity = DataIdentity(
        name=info.name,
        folder=folder,
        fingerprint=fingerprint,
        split_hash=data.split_hash(held_out) if len(held_out) else None,
        classes=info.classes,
        train_size=len(chosen),
        val_size=len(held_out),
        test_size=info.test_size,
    )
    if not len(held_out):
        return Splits(ResidentSplit(split.images, split.labels, training), None, identity)
    return Splits(
        ResidentSplit(split.images[chosen], split.labels[chosen], training),
        ResidentSplit(split.images[held_out], split.labels[held_out], scoring),
        identity,
    )


def _cut(split: data.Split, choice: ValidationChoice, info: data.DataInfo) -> tuple[Indices, Indices]:
    """Indices of the images to train on, and of the validation images."""
    everything = np.arange(len(split.labels))
    if info.own_val:
        chosen, held_out = np.split(everything, [len(everything) - info.own_val])
        return chosen, held_out
    if choice.indices is not None:
        held_out = data.named_indices(choice.indices, len(everything))
        return np.delete(everything, held_out), held_out
    # Exact copies of an image stay in the training part, so no validation image is ever trained on.
    images = split.images if choice.size else None
    return data.validation_split(split.labels, choice.size, choice.seed, images, classes=info.classes)


@lru_cache(maxsize=1)
def _training_split(source: Data, fingerprint: str) -> data.Split:
    return data.load_train(source, fingerprint)


def build_cohort(
    settings: Sequence[Settings],
    seeds: Sequence[int],
    num_classes: int,
    steps_per_epoch: int | Sequence[int],
    execution: Execution,
    *,
    stacked: bool = False,
    covariance: Covariance | None = None,
    epoch: int = 0,
) -> tuple[Cohort, str | None]:
    """Build new networks, one per member from its own seed, with their optimizer and schedule.

    Args:
        steps_per_epoch: of all members, or of each.
        covariance: of the patches of the training images, for `model.init: whiten`.
        epoch: the next one, counted from 0. It decides which layers train.

    Returns:
        The cohort, and the reason for unstacked networks where `stacked` was requested.
    """
    first = settings[0]
    if not isinstance(first.model, CustomModel):  # whose import forgets the code of the run before it
        forget_code()
    memory_format = training_layout(execution, layout(first, execution, stacked=stacked))
    networks = [
        to_device(_new_network(member, seed, num_classes, covariance), execution, memory_format)
        for member, seed in zip(settings, seeds, strict=True)
    ]
    names = [name for name, parameter in networks[0].named_parameters() if parameter.requires_grad]
    stage = freeze_for_epoch(networks, settings, epoch)
    parameters = flatten_parameters(networks)
    names = [name for name in names if name not in stage.always]
    optimizers: list[Optimizer] = [
        with_layer_rates(member.optimizer, member.fine_tune, stage.layers, names, stage.frozen) for member in settings
    ]
    rule = make_rule(optimizers[0], networks[0])
    schedule = make_schedule(
        [member.scheduler for member in settings], optimizers, first.epochs, steps_per_epoch,
        None if rule is None else rule.defaults,
    )  # fmt: skip
    stacked_network, unstacked_reason = _stack(first, networks, parameters, stage) if stacked else (None, None)
    if first.runtime.compile:
        for network in networks:
            network.compile()
    optimizer = make_optimizer(optimizers, parameters) if rule is None else rule
    average = _average(settings, networks, parameters, steps_per_epoch, stage)
    cohort = Cohort(networks, parameters, optimizer, schedule, stacked_network, stage=stage, average=average)
    return _with_checks(cohort, first), unstacked_reason


def _average(
    settings: Sequence[Settings], networks: Sequence[nn.Module], parameters: FlatParameters,
    steps_per_epoch: int | Sequence[int], stage: Stage,
) -> WeightAverage | None:  # fmt: skip
    """The average of the weights, if the members have one. They then have one batch size."""
    averages = [member.average for member in settings if isinstance(member.average, Ema)]
    if not averages:
        return None
    steps = steps_per_epoch if isinstance(steps_per_epoch, int) else steps_per_epoch[0]
    return WeightAverage(averages, networks, parameters, steps, stage.still)


def _with_checks(cohort: Cohort, settings: Settings) -> Cohort:
    """The cohort with what its model needs beside the steps: a watch over own code, or parameters that are held."""
    if isinstance(settings.model, CustomModel):
        watch = GradientWatch(cohort.networks, cohort.parameters)
        return replace(cohort, watch=watch, aux_weights=settings.model.aux_weights or ())
    after = getattr(cohort.networks[0], "held_after", None)
    return replace(cohort, held=None if after is None else HeldParameters(cohort.parameters, after))


def _new_network(settings: Settings, seed: int, num_classes: int, covariance: Covariance | None) -> nn.Module:
    """The network of one member with its initial weights."""
    with seeded_init(seed):
        network = models.build(settings.model, num_classes, settings.data.side())
        initialise(network, settings.model, covariance)
    return network


def _stack(
    settings: Settings, networks: Sequence[nn.Module], parameters: FlatParameters, stage: Stage
) -> tuple[Stacked | None, str | None]:
    """The networks in one pass, or the reason why they run one after the other."""
    if isinstance(settings.model, CustomModel) and settings.model.aux_weights is not None:
        return None, "networks separately: they have auxiliary outputs"
    from cifar_lab.models.stacked import stack
    from cifar_lab.models.stacked_layers import NotStackable

    try:
        return stack(networks, parameters, deterministic=settings.runtime.deterministic, still=stage.still), None
    except NotStackable as error:
        return None, f"networks separately: {error}"
