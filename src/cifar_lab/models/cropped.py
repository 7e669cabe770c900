"""Convolutions that reach beyond a small plane, as products with the part of their kernel that meets a pixel.

The last layers of ResNet-18 see planes of 2 × 2 and 1 × 1 pixels of a 32 × 32 image: of the nine numbers of a
kernel one or four meet a pixel, and the others are multiplied by padding. The result is the same but for rounding;
docs/performance.md has the time it saves.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx, nn
from torch.nn import functional as F


class CroppedConv2d(nn.Conv2d):
    """A convolution with zero padding; where its output is one pixel on the CPU, its kernel is cropped to the plane."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, O, H', W')."""
        (height, top, kernel_height), (width, left, kernel_width) = (
            (input.shape[2 + side], int(self.padding[side]), self.kernel_size[side]) for side in (0, 1)
        )
        one_pixel = (
            height + 2 * top - kernel_height < self.stride[0] and width + 2 * left - kernel_width < self.stride[1]
        )
        if not one_pixel or input.device.type != "cpu":
            return super().forward(input)
        rows, columns = min(height, kernel_height - top), min(width, kernel_width - left)
        # Negative padding crops, and its way back fills up with zeros in one go.
        kernel = F.pad(self.weight, (-left, left + columns - kernel_width, -top, top + rows - kernel_height))
        met = input[:, :, :rows, :columns]
        return F.linear(met.flatten(1), kernel.flatten(1), self.bias)[:, :, None, None]


def crop_convolutions(network: nn.Module) -> None:
    """Put a `CroppedConv2d` with the same parameters in the place of each convolution that can be one."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Conv2d and _can_be_cropped(child):
                setattr(parent, name, _cropped(child))


def _can_be_cropped(convolution: nn.Conv2d) -> bool:
    plain = (convolution.groups, convolution.dilation, convolution.padding_mode) == (1, (1, 1), "zeros")
    return plain and not isinstance(convolution.padding, str)


def _cropped(convolution: nn.Conv2d) -> CroppedConv2d:
    sizes: Any = {name: getattr(convolution, name) for name in ("kernel_size", "stride", "padding")}
    made = CroppedConv2d(
        convolution.in_channels, convolution.out_channels, bias=convolution.bias is not None, device="meta", **sizes
    )
    made.weight, made.bias = convolution.weight, convolution.bias
    return made


class _Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, CroppedConv2d) or super().is_leaf_module(module, name)


def graph_of(network: nn.Module) -> fx.Graph:
    """What a network does, layer by layer; a cropped convolution is one layer."""
    return _Tracer().trace(network)
