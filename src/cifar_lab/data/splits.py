"""Splits of a data set in memory, its identity, the interface of a source, and the validation split."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cifar_lab.core.errors import Problem, SettingsError

IMAGE_SHAPE = (3, 32, 32)
"""Channels (red, green, blue), rows, columns of every image."""

Indices = NDArray[np.int64]

_BLOCK = 2_000  # images counted at a time: the 64-bit copy that bincount makes stays near 50 MB


@dataclass(frozen=True)
class Split:
    """Images and their classes, in a fixed order."""

    images: NDArray[np.uint8]
    """(N, 3, 32, 32), C-contiguous, 0 to 255."""
    labels: NDArray[np.int64]
    """(N,), each an index into the class names."""


@dataclass(frozen=True)
class Images:
    """Both splits of a data set."""

    classes: tuple[str, ...]
    train: Split
    test: Split


@dataclass(frozen=True)
class DataInfo:
    """Facts of a prepared data set. They are known without reading its pixels."""

    name: str
    """`data.dataset`."""
    classes: tuple[str, ...]
    train_size: int
    """Training images, before a validation split is cut."""
    test_size: int
    fingerprint: str
    """SHA-256 over images, labels and class names of both splits, 64 hex digits."""
    synthetic: bool
    """Generated images. Results on them say nothing about real ones."""
    channel_mean: tuple[float, float, float]
    """Mean of the training pixels per channel, pixels scaled to [0, 1]."""
    channel_std: tuple[float, float, float]
    """Standard deviation of the training pixels per channel (divided by N), pixels scaled to [0, 1]."""


def describe(name: str, images: Images, *, synthetic: bool) -> DataInfo:
    """Facts of newly read images. Takes about 1 s for 60,000."""
    mean, std = channel_stats(images.train.images)
    return DataInfo(
        name=name,
        classes=images.classes,
        train_size=len(images.train.labels),
        test_size=len(images.test.labels),
        fingerprint=fingerprint(images),
        synthetic=synthetic,
        channel_mean=mean,
        channel_std=std,
    )


def fingerprint(images: Images) -> str:
    """SHA-256 over class names, sizes, images and labels. Independent of machine and source."""
    head = {"classes": images.classes, "train": len(images.train.labels), "test": len(images.test.labels)}
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for split in (images.train, images.test):
        digest.update(np.ascontiguousarray(split.images).data)
        digest.update(np.ascontiguousarray(split.labels, dtype="<i8").data)
    return digest.hexdigest()


def channel_stats(images: NDArray[np.uint8]) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation per channel of (N, 3, 32, 32) images, pixels scaled to [0, 1].

    They are computed from exact counts of the 256 values, so the order of summation cannot change a digit.
    """
    values = np.arange(256)
    means, stds = [], []
    for channel in range(IMAGE_SHAPE[0]):
        counts = np.zeros(256, np.int64)
        for start in range(0, len(images), _BLOCK):
            counts += np.bincount(images[start : start + _BLOCK, channel].ravel(), minlength=256)
        pixels = int(counts.sum())
        total, squares = int(counts @ values), int(counts @ values**2)
        means.append(total / pixels / 255)
        stds.append((pixels * squares - total**2) ** 0.5 / pixels / 255)
    return (means[0], means[1], means[2]), (stds[0], stds[1], stds[2])


Progress = Callable[[str, int, int], None]
"""Called with the current action, the amount done and the total amount (0 if unknown)."""


def silent(what: str, done: int, total: int) -> None:
    """Ignore progress."""


class Source(Protocol):
    """Source of the images of one data set."""

    name: str
    """`data.dataset`."""
    synthetic: bool

    def key(self) -> Mapping[str, Any]:
        """Identity of this instance among those of its name, as JSON. It names the folder in the cache."""
        ...

    def state(self) -> dict[str, Any] | None:
        """Cheap indicator of changes to the images, as JSON. None if the source is missing."""
        ...

    def read(self, progress: Progress) -> Images:
        """Read all images from the source.

        Raises:
            DataError: the source is missing, damaged or of another kind.
            EnvironmentFault: a download cannot be written.
        """
        ...


def validation_split(
    labels: NDArray[np.int64], val_size: int, split_seed: int, images: NDArray[np.uint8] | None = None
) -> tuple[Indices, Indices]:
    """Choose `val_size` images, stratified by class (largest remainder, ties to the lower class).

    Args:
        labels: (N,) classes of the training split.
        val_size: number of images, 0 for none.
        split_seed: seed of the choice. The same seed gives the same images on every machine and numpy version.
        images: (N, 3, 32, 32). If given, an image with exact copies stays in the training part together with them,
            so that no validation image is ever trained on.

    Returns:
        Training indices and validation indices, each sorted, together all of 0 to N - 1.

    Raises:
        SettingsError: a class would have no image left to train on, or (with `images`) has too few images that occur
            once.
    """
    total = len(labels)
    if val_size < 0:
        raise _refuse(f"{val_size} is below 0")
    if val_size >= total:
        raise _refuse(f"{val_size:,} of {total:,} training images leave none to train on; take fewer")
    classes, counts = np.unique(labels, return_counts=True)
    quota = _shares(val_size, counts)
    keys = np.random.PCG64(split_seed).random_raw(total)  # the raw stream is fixed for ever; Generator's may change
    single = np.ones(total, bool) if images is None else _occurs_once(images)
    chosen = np.zeros(total, bool)
    for label, count, wanted in zip(classes.tolist(), counts.tolist(), quota.tolist(), strict=True):
        if wanted >= count:
            raise _refuse(f"{val_size:,} takes all {count:,} training images of class {label}; take fewer")
        members = np.flatnonzero((labels == label) & single)
        if wanted > len(members):
            raise _refuse(
                f"class {label} has {len(members):,} images without a copy, {wanted:,} are wanted; take fewer"
            )
        chosen[members[np.argsort(keys[members], kind="stable")[:wanted]]] = True
    return np.flatnonzero(~chosen).astype(np.int64), np.flatnonzero(chosen).astype(np.int64)


def split_hash(val_indices: Indices) -> str:
    """SHA-256 over the validation indices as little-endian 64-bit integers, 64 hex digits."""
    return hashlib.sha256(np.ascontiguousarray(val_indices, dtype="<i8").data).hexdigest()


def _shares(val_size: int, counts: Indices) -> Indices:
    """Images per class, summing to `val_size` (largest remainder, in exact integers)."""
    whole, rest = np.divmod(val_size * counts, counts.sum())
    most = np.argsort(-rest, kind="stable")[: val_size - int(whole.sum())]
    whole[most] += 1
    return np.asarray(whole, np.int64)


def _occurs_once(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(N,) false for each image that has an exact copy. Takes about 0.2 s for 50,000."""
    digests = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images]
    _, inverse, counts = np.unique(np.array(digests, dtype="V16"), return_inverse=True, return_counts=True)
    return np.asarray(counts[inverse] == 1)


def _refuse(message: str) -> SettingsError:
    return SettingsError([Problem("", "data.val_size", message)])
