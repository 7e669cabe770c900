"""Images that stay in memory on the training device, and the batches cut from them there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from cifar_lab.config import DataOptions
from cifar_lab.data.augment import add_noise, apply_policy, crop, flip
from cifar_lab.data.splits import IMAGE_SHAPE
from cifar_lab.runtime import stream

MAX_PIXEL = 255.0


@dataclass(frozen=True)
class Normalizer:
    """(pixel − mean) / std a channel, for pixels that run from 0 to 1; `mean` and `std` (1, 3, 32, 32) in fp32.

    They are written out for each pixel: in channels_last memory a vector of 3 channels is too short to be fast.
    """

    mean: Tensor
    std: Tensor

    @classmethod
    def make(
        cls,
        how: str,
        channel_mean: Sequence[float],
        channel_std: Sequence[float],
        device: torch.device,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> Normalizer:
        """The normalisation that `data.normalize` names; the channel statistics are those of the training images."""
        mean, std = {
            "half": ([0.5] * 3, [0.5] * 3),
            "channel": (list(channel_mean), list(channel_std)),
            "none": ([0.0] * 3, [1.0] * 3),
        }[how]
        full = (torch.tensor(values).view(1, 3, 1, 1).expand(1, *IMAGE_SHAPE) for values in (mean, std))
        return cls(*(values.to(device).contiguous(memory_format=memory_format) for values in full))

    @cached_property
    def _scale_shift(self) -> tuple[Tensor, Tensor]:
        return 1 / (MAX_PIXEL * self.std), self.mean / self.std

    def from_bytes(self, images: Tensor) -> Tensor:
        """uint8 (B, 3, 32, 32) → normalised fp32, as one multiplication and one subtraction in place."""
        scale, shift = self._scale_shift
        return images.float().mul_(scale).sub_(shift)

    def from_unit(self, images: Tensor) -> Tensor:
        """fp32 pixels from 0 to 1 → normalised fp32."""
        return images.sub_(self.mean).div_(self.std)


class ResidentSplit:
    """One split on the device, in the memory format of its normalizer."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, normalizer: Normalizer) -> None:
        """`pixels` uint8 (N, 3, 32, 32), `labels` int64 (N,)."""
        device = normalizer.mean.device
        self._channels_last = normalizer.mean.is_contiguous(memory_format=torch.channels_last)
        self.memory_format = torch.channels_last if self._channels_last else torch.contiguous_format
        stored = pixels.transpose(0, 2, 3, 1) if self._channels_last else pixels
        self._pixels = torch.from_numpy(np.ascontiguousarray(stored)).to(device)
        self.labels = torch.from_numpy(np.ascontiguousarray(labels)).to(device)
        self.normalizer = normalizer

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Tensor) -> Tensor:
        """uint8 images (B, 3, 32, 32) at `index` (B,)."""
        return self._in_shape(self._pixels.index_select(0, index))

    def normalized(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """(images (B, 3, 32, 32) fp32, labels (B,)) of a slice, without augmentation."""
        return self.normalizer.from_bytes(self._in_shape(self._pixels[start:stop])), self.labels[start:stop]

    def _in_shape(self, stored: Tensor) -> Tensor:
        return stored.permute(0, 3, 1, 2) if self._channels_last else stored


class CohortBatches:
    """The training batches of K runs side by side, each in the order and with the augmentation of its own seed.

    Order, flips and crop offsets of an epoch depend on (seed, epoch) alone and belong to the image, not to its place
    in a batch: arms that share a seed see the same ones whatever their batch size (common random numbers).
    """

    def __init__(self, split: ResidentSplit, options: DataOptions, seeds: Sequence[int]) -> None:
        self.split = split
        self.options = options
        self.seeds = tuple(seeds)

    @property
    def steps_per_epoch(self) -> int:
        """Batches an epoch; the last one takes what is left over."""
        return -(-len(self.split) // self.options.batch_size)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(images (K, B, 3, 32, 32) fp32, labels (K, B)) of each step of one epoch, which counts from 0."""
        device = self.split.labels.device
        size, members = self.options.batch_size, len(self.seeds)
        order = self._draw("order", epoch, lambda generator: torch.randperm(len(self.split), generator=generator))
        flips = offsets = None
        if self.options.flip:
            flips = self._draw("flip", epoch, lambda generator: torch.rand(len(self.split), generator=generator) < 0.5)
        if self.options.crop_padding:
            shape, high = (len(self.split), 2), 2 * self.options.crop_padding + 1
            offsets = self._draw("crop", epoch, lambda generator: torch.randint(high, shape, generator=generator))
        policies = [stream("policy", seed, epoch) for seed in self.seeds]
        noises = [
            torch.Generator(device).manual_seed(stream("noise", seed, epoch).initial_seed()) for seed in self.seeds
        ]
        member = torch.arange(members, device=device).unsqueeze(1)  # (K, 1)

        for start in range(0, len(self.split), size):
            chosen = order[:, start : start + size]  # (K, B)
            index = chosen.reshape(-1)  # (K · B,)
            images = self.split.take(index)
            if offsets is not None:
                images = crop(images, offsets[member, chosen].reshape(-1, 2), self.options.crop_padding)
            if flips is not None:
                images = flip(images, flips[member, chosen].reshape(-1))
            if self.options.policy != "none":
                parts = zip(images.chunk(members), policies, strict=True)
                images = torch.cat([apply_policy(part, self.options.policy, generator) for part, generator in parts])
            images = images.contiguous(memory_format=self.split.memory_format)
            if self.options.noise_std:
                parts = zip((images.float() / MAX_PIXEL).chunk(members), noises, strict=True)
                noisy = [add_noise(part, self.options.noise_std, generator) for part, generator in parts]
                images = self.split.normalizer.from_unit(torch.cat(noisy))
            else:
                images = self.split.normalizer.from_bytes(images)
            yield images.view(members, -1, *images.shape[1:]), self.split.labels[chosen]

    def _draw(self, name: str, epoch: int, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
        """One draw a member from its stream `name`, stacked (K, N, …) on the device."""
        return torch.stack([draw(stream(name, seed, epoch)) for seed in self.seeds]).to(self.split.labels.device)
