"""What every data set gives: two splits of uint8 images in memory, and the facts that identify them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IMAGE_SHAPE = (3, 32, 32)
"""Channels (red, green, blue), rows, columns of every image."""

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
