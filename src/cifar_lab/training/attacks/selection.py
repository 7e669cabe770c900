"""Choice of the test images that are attacked: fixed, and the same share of each class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cifar_lab.data.random_streams import stream_seed


def stratified_images(labels: NDArray[np.int64], count: int | str, seed: int) -> NDArray[np.int64]:
    """Indices of `count` images in ascending order. `all`, or as many as there are, takes every image.

    Each class gives the same share of its images, to the nearest image. A larger choice with the same seed has all
    images of a smaller one of every class.
    """
    total = len(labels)
    if count == "all" or int(count) >= total:
        return np.arange(total)
    generator = np.random.default_rng(stream_seed("attack images", seed))
    order = generator.permutation(total)
    position = np.empty(total)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        position[members] = (np.arange(len(members)) + 0.5) / len(members)  # rank within the class, as a share
    ranked = order[np.argsort(position[order], kind="stable")]
    return np.sort(ranked[: int(count)])
