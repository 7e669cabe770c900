"""A data set with some of its training images only, such as few images to fine-tune on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifar_lab.config import DataOptions
from cifar_lab.data.splits import DerivedSource, Images, Indices, ListedCounts, Progress, Source, Split


class FewerImagesSource(DerivedSource):
    """Images of another source, with at most so many training images per class.

    The test split and an own validation split stay whole.
    """

    def __init__(self, inner: Source, per_class: int, read: Callable[[Progress], Images]) -> None:
        """`read`: reads the other source, perhaps from its cache."""
        super().__init__(inner)
        self._per_class, self._read = per_class, read

    def key(self) -> Mapping[str, Any]:
        """That of the source, with the number."""
        return {**self._inner.key(), "images_per_class": self._per_class}

    def read(self, progress: Progress) -> Images:
        """The images of the source, without the other training images."""
        images = self._read(progress)
        own = len(images.train.labels) - images.own_val
        kept = np.concatenate([
            chosen_images(images.train.labels[:own], self._per_class), np.arange(own, len(images.train.labels)),
        ])  # fmt: skip
        train = Split(np.ascontiguousarray(images.train.images[kept]), images.train.labels[kept])
        return replace(images, train=train)


def chosen_images(labels: NDArray[np.int64], per_class: int) -> Indices:
    """Choose at most so many images of each class.

    The choice in a class depends on the number of its images alone. A larger number adds to it.

    Args:
        labels: (N,) classes.
        per_class: most images of each.

    Returns:
        Indices, sorted.
    """
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        keys = np.random.PCG64(0).random_raw(len(members))  # the raw stream is fixed; Generator's may change
        chosen[members[np.argsort(keys, kind="stable")[:per_class]]] = True
    return np.flatnonzero(chosen).astype(np.int64)


def fewer_counts(counts: ListedCounts, data: DataOptions) -> ListedCounts | None:
    """Counts with the choice. None for a folder val/ among them, which is not counted by class."""
    if counts.own_val:
        return None
    return replace(counts, class_sizes=tuple(data.per_class(size) for size in counts.class_sizes))
