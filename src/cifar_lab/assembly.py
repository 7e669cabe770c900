"""From settings to the objects that train: resident images, networks, optimizer, schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from cifar_lab import data, models
from cifar_lab.cohort import Cohort
from cifar_lab.config import CustomModel, Data, ImageFolder, Model, Settings
from cifar_lab.data.batches import CohortBatches, Normalizer, ResidentSplit
from cifar_lab.graph_steps import GraphSteps, NotCapturedError
from cifar_lab.identity import DATA_SOURCE_KEYS
from cifar_lab.kernels.steps import KernelSteps
from cifar_lab.optim import flatten_parameters, make_optimizer, make_schedule
from cifar_lab.records import DataIdentity
from cifar_lab.runtime import Execution, seeded_init
from cifar_lab.train import EagerSteps, Steps


@dataclass(frozen=True)
class How:
    """In which way a cohort's steps are made."""

    members: int = 1
    stacked: bool = False
    captured: bool = False
    eager_reason: str | None = None
    """Why a GPU makes steps or networks one by one."""
    kernels_reason: str | None = None
    """Why the CPU makes steps of torch's kernels, where the settings leave it open."""


def layout(model: Model, execution: Execution, *, stacked: bool) -> torch.memory_format:
    """How images lie in memory where torch's kernels see them, on which rounding depends."""
    if stacked:
        return torch.contiguous_format
    return models.memory_format(model, execution.device.type, execution.bf16)


def training_layout(execution: Execution, memory_format: torch.memory_format) -> torch.memory_format:
    """The same for training images and weights, of which our own kernels know one form."""
    return torch.contiguous_format if execution.own_kernels else memory_format


def load_training_data(
    settings: Settings, fingerprint: str, execution: Execution, memory_format: torch.memory_format
) -> tuple[ResidentSplit, ResidentSplit | None, DataIdentity]:
    """(training split, validation split or None, what they are) on the run's device; the test split is not touched.

    `memory_format` is that of `layout`.

    Raises:
        DataError: the images are not those of `fingerprint`, after which the run is named.
    """
    options, info = settings.data, data.prepare(settings.data, fingerprint=fingerprint)
    source = type(options).model_validate(options.model_dump(include=set(DATA_SOURCE_KEYS)))
    split = _training_split(source, fingerprint)
    normalizer = make_normalizer(settings, info, execution, training_layout(execution, memory_format))
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
    normalizer = make_normalizer(settings, info, execution, memory_format)
    return training, ResidentSplit(split.images[held_out], split.labels[held_out], normalizer), identity


def make_normalizer(
    settings: Settings, info: data.DataInfo, execution: Execution, memory_format: torch.memory_format
) -> Normalizer:
    """The normalisation of the run, from the training images' statistics where it needs them."""
    return Normalizer.make(
        settings.data.normalize, info.channel_mean, info.channel_std, execution.device, memory_format
    )


@lru_cache(maxsize=1)
def _training_split(source: Data, fingerprint: str) -> data.Split:
    """Kept between the runs of one process, which mostly share it."""
    return data.load_train(source, fingerprint)


def place(network: nn.Module, execution: Execution, memory_format: torch.memory_format) -> nn.Module:
    """The network on the run's device, in its memory format."""
    return network.to(execution.device).to(memory_format=memory_format)


def build_cohort(
    settings: Sequence[Settings],
    seeds: Sequence[int],
    num_classes: int,
    steps_per_epoch: int,
    execution: Execution,
    *,
    stacked: bool = False,
) -> tuple[Cohort, str | None]:
    """(fresh networks, one a member, each from the streams of its own seed, with their optimizer and schedule; why
    they are not stacked although `stacked` asks for it)."""
    first = settings[0]
    memory_format = training_layout(execution, layout(first.model, execution, stacked=stacked))
    networks = []
    for member, seed in zip(settings, seeds, strict=True):
        with seeded_init(seed):
            network = models.build(member.model, num_classes)
        networks.append(place(network, execution, memory_format))
    parameters = flatten_parameters(networks)
    optimizers = [member.optimizer for member in settings]
    schedule = make_schedule([member.scheduler for member in settings], optimizers, first.epochs, steps_per_epoch)
    together, reason = None, None
    if stacked:
        from cifar_lab.models.stacked import NotStackable, stack

        try:
            together = stack(networks, parameters, deterministic=first.runtime.deterministic)
        except NotStackable as error:
            reason = f"networks one by one: {error}"
    if first.runtime.compile:
        for network in networks:
            network.compile()
    optimizer = make_optimizer(optimizers, parameters)
    return Cohort(networks, parameters, optimizer, schedule, together), reason


def make_steps(
    cohort: Cohort, batches: CohortBatches, settings: Settings, execution: Execution, reason: str | None = None
) -> tuple[Steps, How]:
    """Who makes the cohort's steps: a captured graph on a GPU where that is possible, `kernels` where `execution` says.

    `reason`: why the networks are not stacked, for the record.
    """
    eager = EagerSteps(
        cohort, batches, settings.loss.label_smoothing, execution, model_draws=isinstance(settings.model, CustomModel)
    )
    how = How(len(cohort.networks), cohort.stacked is not None, False, reason)
    if execution.own_kernels:
        return KernelSteps(eager), how
    if execution.device.type == "cpu":
        return eager, how
    if settings.runtime.compile:
        return eager, replace(how, eager_reason=reason or "runtime.compile launches its own kernels")
    try:
        return GraphSteps(eager), replace(how, captured=True)
    except NotCapturedError as error:
        return eager, replace(how, eager_reason="; ".join(filter(None, (reason, str(error)))))
