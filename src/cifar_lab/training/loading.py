"""The images of a run on its device: cut into splits, in the memory format that its steps want.

They are kept between the runs of one process, which mostly share them: reading, splitting and laying them out would
take as long as an epoch of a small network.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch

from cifar_lab import data, models
from cifar_lab.config import Data, ImageFolder, Model, Settings
from cifar_lab.config.run_id import DATA_SOURCE_KEYS
from cifar_lab.data.batches import Normalizer, ResidentSplit
from cifar_lab.store.records import DataIdentity
from cifar_lab.training.device import Execution


def layout(model: Model, execution: Execution, *, stacked: bool) -> torch.memory_format:
    """How images lie in memory where torch's kernels see them, on which rounding depends."""
    if stacked:
        return torch.contiguous_format
    return models.memory_format(model, execution.device.type, execution.bf16)


def training_layout(execution: Execution, memory_format: torch.memory_format) -> torch.memory_format:
    """The same for training images and weights, of which our own kernels know one form."""
    return torch.contiguous_format if execution.own_kernels else memory_format


class Splits(NamedTuple):
    """What a run trains on and validates on; the test split is not among it."""

    training: ResidentSplit
    validation: ResidentSplit | None
    """In the format of `layout`, for torch's kernels score it."""
    identity: DataIdentity


def load_training_data(
    settings: Settings, fingerprint: str, execution: Execution, memory_format: torch.memory_format
) -> Splits:
    """The splits on the run's device; `memory_format` is that of `layout`.

    Raises:
        DataError: the images are not those of `fingerprint`, after which the run is named.
    """
    options, info = settings.data, data.prepare(settings.data, fingerprint=fingerprint)
    source = type(options).model_validate(options.model_dump(include=set(DATA_SOURCE_KEYS)))
    training = make_normalizer(settings, info, execution, training_layout(execution, memory_format))
    scoring = make_normalizer(settings, info, execution, memory_format)
    folder = Path(options.root).stem if isinstance(options, ImageFolder) else ""
    return _splits(source, fingerprint, options.val_size, options.split_seed, folder, info, training, scoring)


def make_normalizer(
    settings: Settings, info: data.DataInfo, execution: Execution, memory_format: torch.memory_format
) -> Normalizer:
    """The normalisation of the run, from the training images' statistics where it needs them."""
    return Normalizer.make(
        settings.data.normalize, info.channel_mean, info.channel_std, execution.device, memory_format
    )


@lru_cache(maxsize=1)
def _splits(
    source: Data, fingerprint: str, val_size: int, split_seed: int, folder: str, info: data.DataInfo,
    training: Normalizer, scoring: Normalizer,
) -> Splits:  # fmt: skip
    split = _training_split(source, fingerprint)
    # Exact copies of an image stay on one side of the split, so that validation never sees what was trained on.
    chosen, held_out = data.validation_split(split.labels, val_size, split_seed, split.images if val_size else None)
    identity = DataIdentity(
        name=info.name,
        folder=folder,
        fingerprint=fingerprint,
        split_hash=data.split_hash(held_out) if val_size else None,
        classes=info.classes,
        train_size=len(chosen),
        val_size=len(held_out),
        test_size=info.test_size,
    )
    if not val_size:
        return Splits(ResidentSplit(split.images, split.labels, training), None, identity)
    return Splits(
        ResidentSplit(split.images[chosen], split.labels[chosen], training),
        ResidentSplit(split.images[held_out], split.labels[held_out], scoring),
        identity,
    )


@lru_cache(maxsize=1)
def _training_split(source: Data, fingerprint: str) -> data.Split:
    return data.load_train(source, fingerprint)
