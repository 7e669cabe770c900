"""Batches in the size that a network takes: each is resized on the device, after augmentation."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F


class ResizeInput:
    """Forward pre-hook: resize images (B, 3, H, W) to (B, 3, size, size), bilinear, smoothed where they shrink."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, network: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        images, *others = inputs
        return (self.resize(images), *others)

    def resize(self, images: Tensor) -> Tensor:
        """Images of the size that is asked for are returned as they are."""
        if images.shape[-2:] == (self.size, self.size):
            return images
        shrinks = images.shape[-1] > self.size
        return F.interpolate(images, (self.size, self.size), mode="bilinear", align_corners=False, antialias=shrinks)


def resize_input(network: nn.Module, size: int | None) -> nn.Module:
    """Let a network resize its input to `size` pixels in rows and columns. None leaves it as it is."""
    if size is not None:
        network.register_forward_pre_hook(ResizeInput(size))
    return network


def input_size(network: nn.Module) -> int | None:
    """Size to which a network resizes its input. None where it does not."""
    hooks = network._forward_pre_hooks.values()
    return next((hook.size for hook in hooks if isinstance(hook, ResizeInput)), None)
