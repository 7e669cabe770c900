"""Images of a split on the training device, and the normalisation of their pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from cifar_lab.data.splits import IMAGE_SHAPE

MAX_PIXEL = 255.0
"""Largest value of a byte of an image."""

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Statistics of ImageNet's channels, as torchvision's weights expect them."""


@dataclass(frozen=True, eq=False)
class Normalizer:
    """(pixel - mean) / std per channel, for pixels in [0, 1]. `mean` and `std` are (1, 3, side, side) fp32.

    They are expanded to every pixel: in channels_last memory a vector of 3 channels is too short to be fast.
    """

    mean: Tensor
    std: Tensor

    @classmethod
    @lru_cache(maxsize=16)
    def make(
        cls,
        method: str,
        channel_mean: tuple[float, ...],
        channel_std: tuple[float, ...],
        device: torch.device,
        memory_format: torch.memory_format = torch.contiguous_format,
        side: int = IMAGE_SHAPE[1],
    ) -> Normalizer:
        """Normalisation that `data.normalize` selects. The statistics are those of the training images.

        Equal arguments return the same object.
        """
        mean, std = {
            "half": ([0.5] * 3, [0.5] * 3),
            # A channel with one value everywhere becomes 0, and not a division by zero.
            "channel": (list(channel_mean), [std or 1.0 for std in channel_std]),
            "none": ([0.0] * 3, [1.0] * 3),
            "imagenet": (list(IMAGENET_MEAN), list(IMAGENET_STD)),
        }[method]
        full = (torch.tensor(values).view(1, 3, 1, 1).expand(1, 3, side, side) for values in (mean, std))
        return cls(*(values.to(device).contiguous(memory_format=memory_format) for values in full))

    @cached_property
    def scale_shift(self) -> tuple[Tensor, Tensor]:
        """(1, 3, 32, 32) each: byte * scale - shift is the normalised value."""
        return 1 / (MAX_PIXEL * self.std), self.mean / self.std

    def from_bytes(self, images: Tensor) -> Tensor:
        """Normalise uint8 (B, 3, 32, 32) to fp32, by one multiplication and one subtraction in place."""
        scale, shift = self.scale_shift
        return images.float().mul_(scale).sub_(shift)

    def from_unit(self, images: Tensor) -> Tensor:
        """Normalise fp32 pixels in [0, 1], in place."""
        return images.sub_(self.mean).div_(self.std)


class ResidentSplit:
    """A split on the device, in the memory format of its normalizer."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, normalizer: Normalizer) -> None:
        """`pixels` uint8 (N, 3, 32, 32), `labels` int64 (N,)."""
        device = normalizer.mean.device
        self._channels_last = normalizer.mean.is_contiguous(memory_format=torch.channels_last)
        self.memory_format = torch.channels_last if self._channels_last else torch.contiguous_format
        stored = pixels.transpose(0, 2, 3, 1) if self._channels_last else pixels
        self.stored = torch.from_numpy(np.ascontiguousarray(stored)).to(device)
        """uint8 (N, 3, 32, 32), or (N, 32, 32, 3) in channels_last memory."""
        self.labels = torch.from_numpy(np.ascontiguousarray(labels)).to(device)
        self.normalizer = normalizer
        self.side = pixels.shape[2]
        """Rows and columns of an image in pixels."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Tensor) -> Tensor:
        """uint8 images (B, 3, 32, 32) at `index` (B,)."""
        return self._in_shape(self.stored.index_select(0, index))

    def normalized(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """(images (B, 3, 32, 32) fp32, labels (B,)) of a slice, without augmentation."""
        return self.normalizer.from_bytes(self._in_shape(self.stored[start:stop])), self.labels[start:stop]

    def _in_shape(self, stored: Tensor) -> Tensor:
        return stored.permute(0, 3, 1, 2) if self._channels_last else stored
