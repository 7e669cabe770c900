"""Batches of a cohort, cut and augmented on the device with the random numbers of each run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from cifar_lab.config import DataOptions
from cifar_lab.config.data import Flip
from cifar_lab.data.augment import add_noise, apply_policy, crop, flip
from cifar_lab.data.mixing import Mix, mix_of_epoch
from cifar_lab.data.random_streams import stream
from cifar_lab.data.resident_split import MAX_PIXEL, ResidentSplit

M = TypeVar("M")

OwnAugment = Callable[[Tensor, torch.Generator], Tensor]
"""Augmentation of the user: uint8 (B, 3, H, W) to the same shape and type, with random numbers of the generator."""

GATHER_IMAGES = 64
"""Small batches are gathered this many images at a time, because launching operations dominates a tiny batch."""


@dataclass(frozen=True)
class EpochRandomness:
    """Random numbers of one epoch, on the device. Each member's come from the streams of its seed."""

    order: Tensor
    """(K, N) int64: image numbers in the order of training."""
    flips: Tensor | None
    """(K, N) bool: images to mirror. None if no member mirrors any."""
    offsets: Tensor | None
    """(K, N, 2) int64: row and column of each image's crop. None without crops."""
    mix: Mix | None = None
    """Tables of all steps. None where images are not mixed."""


def batches_of(images: int, size: int) -> list[int]:
    """Images per step of an epoch. The last batch holds the remainder."""
    full, rest = divmod(images, size)
    return [size] * full + [rest] * (rest > 0)


class CohortBatches:
    """Training batches of K runs, each in the order and with the augmentation of its seed.

    Order, flips and crop offsets of an epoch depend on (seed, epoch) alone and belong to the image, not to its position
    in a batch. So arms with equal seeds see the same ones at any batch size (common random numbers).
    """

    gathered = GATHER_IMAGES
    """Images that are gathered at a time."""

    def __init__(
        self, split: ResidentSplit, options: DataOptions, seeds: Sequence[int], flips: Sequence[Flip] | None = None,
        sizes: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        """Batches of one run per seed.

        Args:
            flips: `data.flip` of each member. None takes `options.flip` for all.
            sizes: `data.batch_size` of each member. None takes `options.batch_size` for all.
        """
        self.split = split
        self.options = options
        self.seeds = tuple(seeds)
        self.own_augment: OwnAugment | None = None
        """Function of the user, which each member applies with its own stream."""
        self.flips = tuple(flips) if flips is not None else (options.flip,) * len(self.seeds)
        self.sizes = tuple(sizes) if sizes is not None else (options.batch_size,) * len(self.seeds)
        self._member = torch.arange(len(self.seeds), device=split.labels.device).unsqueeze(1)  # (K, 1)

    @property
    def batch_sizes(self) -> list[int]:
        """Images per step of an epoch, where all members have equal batches.

        Raises:
            ValueError: members have unequal batches.
        """
        if len(set(self.sizes)) > 1:
            raise ValueError("the members of this cohort have unequal batches")
        return batches_of(len(self.split), self.sizes[0])

    @property
    def steps_per_epoch(self) -> int:
        """Batches per epoch, where all members have equal ones."""
        return len(self.batch_sizes)

    @property
    def member_steps(self) -> list[int]:
        """Batches per epoch of each member."""
        return [math.ceil(len(self.split) / size) for size in self.sizes]

    @property
    def draws_per_batch(self) -> bool:
        """Whether augmentation draws random numbers batch after batch, not only once per epoch."""
        return self.options.policy != "none" or self.options.noise_std > 0 or self.options.augment is not None

    def randomness(self, epoch: int) -> EpochRandomness:
        """Draw the random numbers of one epoch, counted from 0."""
        count, padding = len(self.split), self.options.crop_padding
        flips = offsets = None
        order = self._draw("order", epoch, lambda generator: torch.randperm(count, generator=generator))
        if any(self.flips):
            flips = self._stacked(
                [(seed, flip) for seed, flip in zip(self.seeds, self.flips, strict=True)],
                lambda member: mirrored(member[1], member[0], epoch, count),
            )
        if padding:
            high = 2 * padding + 1
            offsets = self._draw("crop", epoch, lambda generator: torch.randint(high, (count, 2), generator=generator))
        return EpochRandomness(order, flips, offsets, self.mix(epoch))

    def mix(self, epoch: int) -> Mix | None:
        """Tables with which the images of all steps of an epoch are mixed, None where they are not."""
        device, side = self.split.labels.device, self.split.side
        return mix_of_epoch(self.options, self.seeds, epoch, self.steps_per_epoch, side, device)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(images (K, B, 3, 32, 32) fp32, labels (K, B)) of each step of one epoch, counted from 0."""
        randomness = self.randomness(epoch)
        for step, (images, labels) in enumerate(self._unmixed(randomness, epoch)):
            yield images if randomness.mix is None else randomness.mix.at(step).images(images), labels

    def _unmixed(self, randomness: EpochRandomness, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """As `epoch`, before images are mixed."""
        size = self.options.batch_size
        if self.draws_per_batch:
            augmenter = BatchAugmenter(self, epoch)
            for index in torch.split(randomness.order, size, dim=1):
                yield self.augmented(randomness, index, augmenter)
            return
        # Whole batches only, so that splitting the result gives the batches of `index`.
        count = size * max(1, self.gathered // (size * len(self.seeds)))
        for index in torch.split(randomness.order, count, dim=1):
            images, labels = self.gather(randomness, index)
            yield from zip(torch.split(images, size, dim=1), torch.split(labels, size, dim=1), strict=True)

    def augmented(
        self, randomness: EpochRandomness, index: Tensor, augmenter: BatchAugmenter | None
    ) -> tuple[Tensor, Tensor]:
        """As `gather`, with the augmentations that draw random numbers batch after batch, if there are any."""
        if augmenter is None:
            return self.gather(randomness, index)
        return augmenter.augment(self.pixels(randomness, index)), self.split.labels[index]

    def gather(self, randomness: EpochRandomness, index: Tensor) -> tuple[Tensor, Tensor]:
        """(images (K, B, 3, 32, 32) fp32, labels (K, B)) at `index` (K, B). Never synchronises the device."""
        images = self.split.normalizer.from_bytes(self.pixels(randomness, index))
        return images.view(*index.shape, *images.shape[1:]), self.split.labels[index]

    def pixels(self, randomness: EpochRandomness, index: Tensor) -> Tensor:
        """uint8 (K · B, 3, 32, 32) at `index` (K, B), members in order, cropped and flipped."""
        images = self.split.take(index.reshape(-1))
        if randomness.offsets is not None:
            offsets = randomness.offsets[self._member, index].reshape(-1, 2)
            images = crop(images, offsets, self.options.crop_padding, self.options.crop_padding_mode)
        if randomness.flips is not None:
            images = flip(images, randomness.flips[self._member, index].reshape(-1))
        return images.contiguous(memory_format=self.split.memory_format)

    def _draw(self, name: str, epoch: int, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
        """Draw from stream `name` of each member, stacked (K, N, …) on the device."""
        return self._stacked(self.seeds, lambda seed: draw(stream(name, seed, epoch)))

    def _stacked(self, members: Sequence[M], draw: Callable[[M], Tensor]) -> Tensor:
        """Draw for each member, stacked on the device. Equal members are drawn once."""
        drawn = {member: draw(member) for member in dict.fromkeys(members)}
        return torch.stack([drawn[member] for member in members]).to(self.split.labels.device)


def mirrored(flip: Flip, seed: int, epoch: int, count: int) -> Tensor:
    """(N,) bool: training images that a run mirrors in an epoch, counted from 0.

    In the first epoch alternating flips are those of random flips, so that both begin alike.
    """
    if not flip:
        return torch.zeros(count, dtype=torch.bool)
    alternating = flip == "alternating"
    drawn = torch.rand(count, generator=stream("flip", seed, 0 if alternating else epoch)) < 0.5
    return ~drawn if alternating and epoch % 2 else drawn


class BatchAugmenter:
    """Policies and noise, drawn from streams that continue from batch to batch of one epoch."""

    def __init__(self, batches: CohortBatches, epoch: int) -> None:
        self._options, self._split, seeds = batches.options, batches.split, batches.seeds
        device = batches.split.labels.device
        self._policies = [stream("policy", seed, epoch) for seed in seeds]
        self._own = batches.own_augment
        own = (stream("augment", seed, epoch).initial_seed() for seed in seeds if self._own is not None)
        self._own_generators = [torch.Generator(device).manual_seed(seed) for seed in own]
        noises = (stream("noise", seed, epoch).initial_seed() for seed in seeds)
        self._noises = [torch.Generator(device).manual_seed(seed) for seed in noises]

    def augment(self, images: Tensor) -> Tensor:
        """Augment and normalise uint8 (K · B, 3, 32, 32), members in order, to fp32 (K, B, 3, 32, 32)."""
        members, policy, std = len(self._policies), self._options.policy, self._options.noise_std
        if policy != "none":
            parts = zip(images.chunk(members), self._policies, strict=True)
            images = torch.cat([apply_policy(part, policy, generator) for part, generator in parts])
            images = images.contiguous(memory_format=self._split.memory_format)
        if self._own is not None:
            parts = zip(images.chunk(members), self._own_generators, strict=True)
            images = torch.cat([self._own(part, generator) for part, generator in parts])
            images = images.contiguous(memory_format=self._split.memory_format)
        if std:
            parts = zip((images.float() / MAX_PIXEL).chunk(members), self._noises, strict=True)
            noisy = torch.cat([add_noise(part, std, generator) for part, generator in parts])
            images = self._split.normalizer.from_unit(noisy)
        else:
            images = self._split.normalizer.from_bytes(images)
        return images.view(members, -1, *images.shape[1:])
