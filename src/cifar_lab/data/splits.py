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
from cifar_lab.core.errors import Problem, SettingsError

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
    quota = _shares(val_size, counts)
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
        raise _refuse(
            key,
            f"{val_size:,} of {total:,} training images leave none to train on; {_largest(val_size, counts, singles)}",
        )
    for label, wanted in enumerate(_shares(val_size, np.array(counts, np.int64)).tolist()):
        name = f"class {classes[label]!r}" if label < len(classes) else f"class {label}"
        if counts[label] and wanted >= counts[label]:
            fault = f"{val_size:,} takes all {counts[label]:,} training images of {name}"
        elif wanted > singles[label]:
            fault = f"{name} has {singles[label]:,} images without a duplicate, {wanted:,} are needed"
        else:
            continue
        raise _refuse(key, f"{fault}; {_largest(val_size, counts, singles)}")


def _largest(val_size: int, counts: Sequence[int], singles: Sequence[int]) -> str:
    """Advice with the largest size that works."""
    most = [min(count - 1, single) if count else 0 for count, single in zip(counts, singles, strict=True)]
    sizes = np.array(counts, np.int64)
    for size in range(min(val_size, sum(most)), 0, -1):
        if (_shares(size, sizes) <= most).all():
            return f"the largest size that works is {size:,}"
    return "no size works"


def split_hash(val_indices: Indices) -> str:
    """SHA-256 over the validation indices as little-endian 64-bit integers, 64 hex digits."""
    return hashlib.sha256(np.ascontiguousarray(val_indices, dtype="<i8").data).hexdigest()


def _shares(val_size: int, counts: Indices) -> Indices:
    """Images per class, summing to `val_size` (largest remainder, in exact integers)."""
    whole, rest = np.divmod(val_size * counts, counts.sum())
    most = np.argsort(-rest, kind="stable")[: val_size - int(whole.sum())]
    whole[most] += 1
    return np.asarray(whole, np.int64)


def digests(images: NDArray[np.uint8]) -> NDArray[np.void]:
    """(N,) hash of each image. Takes about 0.2 s for 50,000."""
    return np.array([hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images], dtype="V16")


def has_copy(marks: NDArray[np.void]) -> NDArray[np.bool_]:
    """(N,) whether each of these hashes occurs twice or more."""
    _, inverse, counts = np.unique(marks, return_inverse=True, return_counts=True)
    return np.asarray(counts[inverse] > 1)


def _refuse(key: str, message: str) -> SettingsError:
    return SettingsError([Problem("", key, message)])
