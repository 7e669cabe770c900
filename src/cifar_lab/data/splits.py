"""Splits of a data set in memory, its identity, the interface of a source, and the validation split."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cifar_lab.config.data import IMAGE_SIDE

IMAGE_SHAPE = (3, IMAGE_SIDE, IMAGE_SIDE)
"""Channels (red, green, blue), rows and columns of an image, where no setting states another size."""

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
    own_val: int = 0
    """Images at the end of the training split that come as a validation split."""
    notes: tuple[str, ...] = ()
    """Sentences on what was found, one per kind."""


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
    own_val: int = 0
    """Images at the end of the training split that come as a validation split."""
    side: int = IMAGE_SHAPE[1]
    """Rows and columns of an image, in pixels."""
    class_sizes: tuple[int, ...] = ()
    """Training images per class. Empty for images that were prepared before they were counted."""
    single_sizes: tuple[int, ...] = ()
    """Those of them without an exact copy among the training images."""
    notes: tuple[str, ...] = ()
    """Sentences on images that were found, said once when they are prepared."""


@dataclass(frozen=True)
class ListedCounts:
    """Counts of a data set that was listed and not decoded yet."""

    classes: tuple[str, ...]
    class_sizes: tuple[int, ...]
    """Training images per class, before a validation split is cut."""
    own_val: int = 0
    """Those of them that come as a validation split."""

    @property
    def train_size(self) -> int:
        """Training images, before a validation split is cut."""
        return sum(self.class_sizes)

    @property
    def single_sizes(self) -> tuple[int, ...]:
        """Images without a copy: all, as the pixels are not known yet."""
        return self.class_sizes


def describe(name: str, images: Images, *, synthetic: bool) -> DataInfo:
    """Facts of newly read images. Takes about 1 s for 60,000."""
    mean, std = channel_stats(images.train.images)
    marks, labels = digests(images.train.images), images.train.labels
    count = len(images.classes)
    return DataInfo(
        name=name,
        classes=images.classes,
        train_size=len(images.train.labels),
        test_size=len(images.test.labels),
        fingerprint=fingerprint(images),
        synthetic=synthetic,
        channel_mean=mean,
        channel_std=std,
        own_val=images.own_val,
        side=images.train.images.shape[2],
        class_sizes=tuple(np.bincount(labels, minlength=count).tolist()),
        single_sizes=tuple(np.bincount(labels[~has_copy(marks)], minlength=count).tolist()),
        notes=(*images.notes, *_equal_images(marks, digests(images.test.images)), *_flat_channels(std)),
    )


def _equal_images(train: NDArray[np.void], test: NDArray[np.void]) -> Iterator[str]:
    if both := int(np.isin(test, train).sum()):
        equal = f"{both:,} of {len(test):,} test images are equal to a training image"
        yield f"{equal}; accuracy on them shows no generalisation"


def _flat_channels(std: Sequence[float]) -> Iterator[str]:
    flat = [name for name, spread in zip(("red", "green", "blue"), std, strict=True) if spread == 0]
    if flat:
        yield (
            f"{' and '.join(flat)} have the same value in every training image"
            if len(flat) > 1
            else (f"{flat[0]} has the same value in every training image")
        )


def fingerprint(images: Images) -> str:
    """SHA-256 over class names, sizes, images and labels. Independent of machine and source."""
    head: dict[str, Any] = {
        "classes": images.classes, "train": len(images.train.labels), "test": len(images.test.labels),
    }  # fmt: skip
    if images.own_val:
        head["val"] = images.own_val
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


class DerivedSource:
    """Base of sources that change the images of another one."""

    def __init__(self, inner: Source) -> None:
        self._inner = inner
        self.name, self.synthetic = inner.name, inner.synthetic
        self.root = getattr(inner, "root", inner.name)

    def state(self) -> dict[str, Any] | None:
        """That of the other source."""
        return self._inner.state()


def digests(images: NDArray[np.uint8]) -> NDArray[np.void]:
    """(N,) hash of each image. Takes about 0.2 s for 50,000."""
    return np.array([hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images], dtype="V16")


def has_copy(marks: NDArray[np.void]) -> NDArray[np.bool_]:
    """(N,) whether each of these hashes occurs twice or more."""
    _, inverse, counts = np.unique(marks, return_inverse=True, return_counts=True)
    return np.asarray(counts[inverse] > 1)
