"""What every data set gives: two splits of uint8 images in memory, and the facts that identify them."""

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
    """Both splits of a data set as its source gives them."""

    classes: tuple[str, ...]
    train: Split
    test: Split


@dataclass(frozen=True)
class DataInfo:
    """The facts of a prepared data set; known without its pixels."""

    name: str
    """`data.dataset`."""
    classes: tuple[str, ...]
    train_size: int
    """Training images, before a validation split is cut."""
    test_size: int
    fingerprint: str
    """SHA-256 over images, labels and class names of both splits, 64 hex digits."""
    synthetic: bool
    """Made-up images: the numbers say nothing about real ones."""
    channel_mean: tuple[float, float, float]
    """Mean of the training pixels a channel, pixels from 0 to 1."""
    channel_std: tuple[float, float, float]
    """Standard deviation of the training pixels a channel (divided by N), pixels from 0 to 1."""


def describe(name: str, images: Images, *, synthetic: bool) -> DataInfo:
    """The facts of freshly read images; about 1 s for 60,000."""
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
    """SHA-256 over class names, sizes, images and labels; the same on every machine, wherever the images came from."""
    head = {"classes": images.classes, "train": len(images.train.labels), "test": len(images.test.labels)}
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for split in (images.train, images.test):
        digest.update(np.ascontiguousarray(split.images).data)
        digest.update(np.ascontiguousarray(split.labels, dtype="<i8").data)
    return digest.hexdigest()


def channel_stats(images: NDArray[np.uint8]) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation a channel of (N, 3, 32, 32) images, pixels from 0 to 1.

    From exact counts of the 256 values, so that the order of summation cannot change a digit.
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
"""Called with what is being done, how much is done and how much there is (0 where that is not known)."""


def silent(what: str, done: int, total: int) -> None:
    """The progress of nobody."""


class Source(Protocol):
    """Where the images of one data set come from."""

    name: str
    """`data.dataset`."""
    synthetic: bool

    def key(self) -> Mapping[str, Any]:
        """What tells this instance from others of its name, in JSON's types; names its folder in the cache."""
        ...

    def state(self) -> dict[str, Any] | None:
        """What changes when the images may have changed, in JSON's types, cheaply; None where the source is gone."""
        ...

    def read(self, progress: Progress) -> Images:
        """All images, from the source itself.

        Raises:
            DataError: the source is missing, broken or not what it says.
            EnvironmentFault: something to be fetched cannot be written.
        """
        ...


def validation_split(
    labels: NDArray[np.int64], val_size: int, split_seed: int, images: NDArray[np.uint8] | None = None
) -> tuple[Indices, Indices]:
    """Cut `val_size` images, each class in its share of the whole (largest remainder; ties to the lower class).

    Args:
        labels: (N,) classes of the training split.
        val_size: images to cut; 0 cuts none.
        split_seed: decides which; the same seed cuts the same images on every machine and numpy.
        images: (N, 3, 32, 32). Where given, an image that occurs twice stays in the training part with its copies,
            so that no validation image is ever trained on.

    Returns:
        Training indices and validation indices, each sorted, together all of 0 to N − 1.

    Raises:
        SettingsError: so many images that a class would have none left to train on, or (with `images`) too few
            images of a class that occur once.
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
    """Images a class, summing to `val_size` (largest remainder, in exact integers)."""
    whole, rest = np.divmod(val_size * counts, counts.sum())
    most = np.argsort(-rest, kind="stable")[: val_size - int(whole.sum())]
    whole[most] += 1
    return np.asarray(whole, np.int64)


def _occurs_once(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(N,) false for each image that has an exact copy among the others; about 0.2 s for 50,000."""
    digests = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images]
    _, inverse, counts = np.unique(np.array(digests, dtype="V16"), return_inverse=True, return_counts=True)
    return np.asarray(counts[inverse] == 1)


def _refuse(message: str) -> SettingsError:
    return SettingsError([Problem("", "data.val_size", message)])
