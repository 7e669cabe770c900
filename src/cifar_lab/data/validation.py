"""Validation split: images cut from the training split, the same share of each class."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cifar_lab.config import DataOptions
from cifar_lab.config.rules import at_most, too_many
from cifar_lab.core.errors import Problem, SettingsError
from cifar_lab.data.named_validation import named_count
from cifar_lab.data.splits import DataInfo, Indices, ListedCounts, digests, has_copy


def validation_split(
    labels: NDArray[np.int64],
    val_size: int,
    split_seed: int,
    images: NDArray[np.uint8] | None = None,
    *,
    classes: Sequence[str] = (),
    key: str = "data.val_size",
) -> tuple[Indices, Indices]:
    """Choose `val_size` images, stratified by class (largest remainder, ties to the lower class).

    Args:
        labels: (N,) classes of the training split.
        val_size: number of images, 0 for none.
        split_seed: seed of the choice. The same seed gives the same images on every machine and numpy version.
        images: (N, 3, 32, 32). If given, an image with exact copies stays in the training part together with them,
            so that no validation image is ever trained on.
        classes: names of the classes, for messages.
        key: setting that states `val_size`, for messages.

    Returns:
        Training indices and validation indices, each sorted, together all of 0 to N - 1.

    Raises:
        SettingsError: a class would have no image left to train on, or (with `images`) has too few images that occur
            once.
    """
    total = len(labels)
    single = np.ones(total, bool) if images is None else ~has_copy(digests(images))
    counts = np.bincount(labels) if total else np.zeros(1, np.int64)
    singles = np.bincount(labels[single], minlength=len(counts))
    check_val_size(val_size, counts.tolist(), singles.tolist(), classes, key=key)
    quota = class_shares(val_size, counts)
    keys = np.random.PCG64(split_seed).random_raw(total)  # the raw stream is fixed for ever; Generator's may change
    chosen = np.zeros(total, bool)
    for label, wanted in enumerate(quota.tolist()):
        members = np.flatnonzero((labels == label) & single)
        chosen[members[np.argsort(keys[members], kind="stable")[:wanted]]] = True
    return np.flatnonzero(~chosen).astype(np.int64), np.flatnonzero(chosen).astype(np.int64)


def check_val_size(
    val_size: int, counts: Sequence[int], singles: Sequence[int], classes: Sequence[str] = (), *, key: str
) -> None:
    """Check that a validation split of this size can be cut.

    Args:
        val_size: its number of images.
        counts: training images per class.
        singles: those of them without a copy.
        classes: names of the classes, for the message.
        key: setting that states the size, for the message.

    Raises:
        SettingsError: a class would have no image left to train on, or has too few images that occur once. Names the
            largest size that works.
    """
    total = sum(counts)
    if val_size < 0:
        raise _refuse(key, f"{val_size} is below 0")
    if val_size >= total:
        raise _refuse(key, too_many(val_size, total, _largest(val_size, counts, singles)))
    for label, wanted in enumerate(class_shares(val_size, np.array(counts, np.int64)).tolist()):
        name = f"class {classes[label]!r}" if label < len(classes) else f"class {label}"
        if counts[label] and wanted >= counts[label]:
            fault = f"{val_size:,} takes all {counts[label]:,} training images of {name}"
        elif wanted > singles[label]:
            fault = f"{name} has {singles[label]:,} images without a duplicate, {wanted:,} are needed"
        else:
            continue
        raise _refuse(key, f"{fault}; {at_most(_largest(val_size, counts, singles))}")


def _largest(val_size: int, counts: Sequence[int], singles: Sequence[int]) -> int:
    """Largest size that works, 0 for none."""
    most = [min(count - 1, single) if count else 0 for count, single in zip(counts, singles, strict=True)]
    sizes = np.array(counts, np.int64)
    fitting = (size for size in range(min(val_size, sum(most)), 0, -1) if (class_shares(size, sizes) <= most).all())
    return next(fitting, 0)


def validation_count(options: DataOptions, info: DataInfo | ListedCounts) -> int:
    """Number of validation images of a data set.

    Raises:
        SettingsError: a file of indices that cannot be read.
    """
    return info.own_val or set_aside(options, info.train_size)


def set_aside(options: DataOptions, train: int) -> int:
    """The same for `train` training images, where nothing else is known of them.

    Raises:
        SettingsError: a file of indices that cannot be read.
    """
    return named_count(options.val_indices) if options.val_indices is not None else options.val_count(train)


def split_hash(val_indices: Indices) -> str:
    """SHA-256 over the validation indices as little-endian 64-bit integers, 64 hex digits."""
    return hashlib.sha256(np.ascontiguousarray(val_indices, dtype="<i8").data).hexdigest()


def class_shares(val_size: int, counts: Indices) -> Indices:
    """Validation images per class, summing to `val_size` (largest remainder, in exact integers)."""
    whole, rest = np.divmod(val_size * counts, counts.sum())
    most = np.argsort(-rest, kind="stable")[: val_size - int(whole.sum())]
    whole[most] += 1
    return np.asarray(whole, np.int64)


def _refuse(key: str, message: str) -> SettingsError:
    return SettingsError([Problem("", key, message)])
