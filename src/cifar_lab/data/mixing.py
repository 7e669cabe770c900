"""Mixed training images: mixup (arXiv:1710.09412) and CutMix (arXiv:1905.04899), in torchvision's form.

An image is mixed with the one before it in its batch, and the first with the last. The order of a batch is random, so
the pairs are too. All numbers of an epoch are drawn in advance, one set per step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cifar_lab.config import DataOptions
from cifar_lab.data.random_streams import stream_seed

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Mix:
    """Numbers of one step of K members, or with a leading dimension of all steps of an epoch."""

    share: Tensor
    """(K,) fp32: share of an image's own label. The rest is that of its neighbour."""
    blend: Tensor
    """(K,) fp32: share of an image's own pixels outside the box. 1 with CutMix."""
    box: Tensor
    """(K, 4) int64: first and last row and column of the neighbour's pixels, the last excluded. Empty with mixup."""

    def at(self, step: int | Tensor) -> Mix:
        """One step of an epoch. A tensor (1,) on the device does not synchronise."""
        if isinstance(step, int):
            return Mix(self.share[step], self.blend[step], self.box[step])
        return Mix(*(each.index_select(0, step).squeeze(0) for each in self.tensors()))

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """The tables, to be copied."""
        return self.share, self.blend, self.box

    def images(self, images: Tensor) -> Tensor:
        """Mix normalised images (K, B, 3, H, W)."""
        neighbours = neighbour(images)
        blend = self.blend.view(-1, 1, 1, 1, 1)
        blended = images * blend + neighbours * (1 - blend)
        rows, columns = (torch.arange(side, device=images.device) for side in images.shape[-2:])
        top, bottom, left, right = self.box.unsqueeze(2).unbind(1)  # (K, 1) each
        in_rows, in_columns = (rows >= top) & (rows < bottom), (columns >= left) & (columns < right)  # (K, H), (K, W)
        inside = (in_rows.unsqueeze(2) & in_columns.unsqueeze(1))[:, None, None]  # (K, 1, 1, H, W)
        # `roll` gives contiguous images, and those of a network may be channels_last.
        return torch.empty_like(images).copy_(torch.where(inside, neighbours, blended))


def neighbour(batch: Tensor) -> Tensor:
    """(K, B, …) with the value of each image's neighbour in its place."""
    return batch.roll(1, dims=1)


def larger_part(labels: Tensor, share: Tensor | None) -> Tensor:
    """Labels (K, B) of the larger part of each mixed image. Without a mix, the labels."""
    return labels if share is None else torch.where(share.unsqueeze(1) >= 0.5, labels, neighbour(labels))


def draw_mix(options: DataOptions, seed: int, epoch: int, steps: int, side: int) -> tuple[Numbers, ...]:
    """Numbers of every step of an epoch, counted from 0: share (steps,), blend (steps,), box (steps, 4).

    With both mixup and CutMix a step uses either, with probability 0.5. Each draws from its own stream.
    """
    cuts = np.full(steps, options.cutmix > 0)
    if options.mixup and options.cutmix:
        cuts = _generator("mix", seed, epoch).random_sample(steps) < 0.5
    blend = np.ones(steps)
    if options.mixup:
        blend = np.where(cuts, 1.0, _generator("mixup", seed, epoch).beta(options.mixup, options.mixup, steps))
    box = np.zeros((steps, 4))
    if options.cutmix:
        box = np.where(cuts[:, None], _boxes(options.cutmix, seed, epoch, steps, side), box)
    area = (box[:, 1] - box[:, 0]) * (box[:, 3] - box[:, 2])
    return np.where(cuts, 1 - area / side**2, blend), blend, box


def _boxes(alpha: float, seed: int, epoch: int, steps: int, side: int) -> Numbers:
    """(steps, 4) of boxes around random centres, cut at the border, as torchvision has them."""
    generator = _generator("cutmix", seed, epoch)
    half = (0.5 * np.sqrt(1 - generator.beta(alpha, alpha, steps)) * side).astype(np.int64)
    centre = generator.randint(side, size=(2, steps))
    low, high = np.clip(centre - half, 0, side), np.clip(centre + half, 0, side)
    return np.stack([low[0], high[0], low[1], high[1]], axis=1).astype(np.float64)


def _generator(name: str, seed: int, epoch: int) -> np.random.RandomState:
    """Stream of NumPy's frozen generator, whose distributions never change."""
    high, low = divmod(stream_seed(name, seed, epoch), 2**32)
    return np.random.RandomState([high, low])


def mix_of_epoch(
    options: DataOptions, seeds: tuple[int, ...], epoch: int, steps: int, side: int, device: torch.device
) -> Mix | None:
    """Tables of an epoch on the device: share and blend (steps, K), box (steps, K, 4). None where nothing is mixed."""
    if not options.mixes:
        return None
    drawn = {seed: draw_mix(options, seed, epoch, steps, side) for seed in dict.fromkeys(seeds)}
    return Mix(*_stacked(drawn, seeds, device))


def _stacked(drawn: dict[int, tuple[Numbers, ...]], seeds: tuple[int, ...], device: torch.device) -> Iterator[Tensor]:
    for number, dtype in enumerate((torch.float32, torch.float32, torch.int64)):
        table = np.stack([drawn[seed][number] for seed in seeds], axis=1)
        yield torch.from_numpy(table).to(device, dtype)
