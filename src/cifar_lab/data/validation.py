"""The validation split: images cut from the training split to choose by, the same for every run."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from cifar_lab.core.errors import Problem, SettingsError

Indices = NDArray[np.int64]


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
