"""Covariance of the patches of training images, from which a first convolution is whitened."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn import functional as F

from cifar_lab.data.resident_split import ResidentSplit

PATCH_IMAGES = 2_000
"""Images whose patches count, evenly spaced over the training split, because a folder is ordered by class. With 5 × 5
patches they take about a second on one core."""

CHUNK_IMAGES = 50
"""Images at a time. Their 5 × 5 patches are 12 MB."""

EXACT_POSITIONS = 1_000
"""Patches of an image that are multiplied at a time: a sum of so many products of bytes below 2^24 is exact in fp32."""

_KNOWN: WeakKeyDictionary[ResidentSplit, dict[tuple[int, int], Tensor]] = WeakKeyDictionary()
"""Covariances by split and patch size: the runs of a process share their split."""


def patch_covariance(split: ResidentSplit, rows: int, columns: int) -> Tensor:
    """Covariance (D, D) of the patches of normalised images without augmentation, float64 on the CPU.

    D is 3 · rows · columns, in the order of a convolution's weight. All sums over bytes are whole numbers that are
    exact, so they have the same bits on any device.
    """
    known = _KNOWN.setdefault(split, {})
    if (rows, columns) not in known:
        scale = split.normalizer.scale_shift[0][0, :, 0, 0].double().cpu().repeat_interleave(rows * columns)
        known[rows, columns] = scale.unsqueeze(1) * _byte_covariance(split, rows, columns) * scale
    return known[rows, columns]


def _byte_covariance(split: ResidentSplit, rows: int, columns: int) -> Tensor:
    """Covariance (D, D) of the patches of bytes."""
    count = min(PATCH_IMAGES, len(split))
    chosen = torch.arange(count, device=split.labels.device) * len(split) // count
    size, device = 3 * rows * columns, split.labels.device
    sums = torch.zeros(size, dtype=torch.float64, device=device)
    products = torch.zeros(size, size, dtype=torch.float64, device=device)
    patches = 0
    for index in torch.split(chosen, CHUNK_IMAGES):
        images = split.take(index).float() - 128  # a covariance does not depend on it, and the products are smaller
        for part in torch.split(F.unfold(images, (rows, columns)), EXACT_POSITIONS, dim=2):  # (B, D, positions)
            sums += part.sum(dim=2).double().sum(dim=0)
            products += torch.bmm(part, part.transpose(1, 2)).double().sum(dim=0)
            patches += len(part) * part.shape[2]
    mean = (sums / patches).cpu()
    return products.cpu() / patches - torch.outer(mean, mean)
