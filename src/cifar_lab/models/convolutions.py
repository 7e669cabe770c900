"""Fast forms of convolutions: of K networks at once, and of kernels that reach beyond a small plane.

`by_groups` passes all members to one grouped convolution (as HFTA does, arXiv:2102.02344). `by_products` copies each
member's patches into the columns of a matrix and multiplies K pairs of matrices. Both agree within rounding.

The last layers of ResNet-18 see planes of 2 × 2 and 1 × 1 pixels of a 32 × 32 image. Of the nine weights of a kernel,
one or four meet a pixel, and the others are multiplied by padding. `CroppedConv2d` leaves those out, which changes only
the rounding. docs/performance.md has the time it saves.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from cifar_lab.models import plane_matrix

NARROW_CHANNELS = 32
"""Input channels per member below which a GPU multiplies patches. A grouped kernel would leave most of its tile empty,
while the patches are only a few times the activations. Not measured on a GPU yet, so `deterministic: false` measures
at run time. On a CPU core grouped convolutions took half the time of products for the layers of Net and a third for
those of ResNet18 (`benchmarks/convolutions.py`)."""

TRIAL_ROUNDS = 3
"""Forward and backward passes of each form per measurement, after one warm-up."""

Form = Callable[[Tensor, Tensor, "Tensor | None", "Geometry"], Tensor]


@dataclass(frozen=True)
class Geometry:
    """Stride and padding of a convolution: rows, columns."""

    stride: tuple[int, int]
    padding: tuple[int, int]


def by_groups(images: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
    """images (K, B, C, H, W), weight (K, O, C, h, w), bias (K, O) to (K, B, O, H', W')."""
    members, batch = images.shape[:2]
    side_by_side = images.transpose(0, 1).reshape(batch, -1, *images.shape[3:])  # (B, K · C, H, W)
    out = F.conv2d(
        side_by_side, weight.flatten(0, 1), None if bias is None else bias.flatten(), geometry.stride,
        geometry.padding, groups=members,
    )  # fmt: skip
    return out.reshape(batch, members, -1, *out.shape[2:]).transpose(0, 1)


def by_products(images: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
    """See `by_groups`."""
    members, outputs, _, height, width = weight.shape
    if torch.is_autocast_enabled(images.device.type):  # before the patches are copied, which then are half as large
        images = images.to(torch.get_autocast_dtype(images.device.type))
    rows, columns = geometry.padding
    if rows or columns:
        images = F.pad(images, (columns, columns, rows, rows))
    patches = images.unfold(3, height, geometry.stride[0]).unfold(4, width, geometry.stride[1])
    batch, out_height, out_width = patches.shape[1], *patches.shape[3:5]  # (K, B, C, H', W', h, w), a view
    matrix = patches.permute(0, 2, 5, 6, 1, 3, 4).reshape(members, -1, batch * out_height * out_width)
    kernels = weight.flatten(2)  # (K, O, C · h · w)
    product = torch.bmm(kernels, matrix) if bias is None else torch.baddbmm(bias.unsqueeze(2), kernels, matrix)
    return product.view(members, outputs, batch, out_height, out_width).transpose(1, 2)


def form_for(channels: int, device: torch.device) -> Form:
    """Form for this many input channels per member, by a fixed rule that gives the same bits each time."""
    return by_products if device.type != "cpu" and channels < NARROW_CHANNELS else by_groups


def faster_form(images: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Form:
    """Form whose forward and backward pass on these tensors is faster, by measurement."""
    return min((by_groups, by_products), key=lambda form: time_both_ways(form, images, weight, bias, geometry))


def time_both_ways(form: Form, images: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> float:
    """Seconds of a forward and backward pass. Gradients of the arguments are not changed."""
    wanted = [each for each in (images, weight, bias) if each is not None and each.requires_grad]

    def both_ways() -> None:
        with torch.enable_grad():
            out = form(images, weight, bias, geometry)
            if wanted:
                torch.autograd.grad(out, wanted, torch.ones_like(out))

    both_ways()
    _synchronize(images.device)
    began = time.perf_counter()
    for _ in range(TRIAL_ROUNDS):
        both_ways()
    _synchronize(images.device)
    return (time.perf_counter() - began) / TRIAL_ROUNDS


def _synchronize(device: torch.device) -> None:
    """Wait until the device has finished all queued work. The CPU queues none."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


class CroppedConv2d(nn.Conv2d):
    """Convolution with zero padding. If its output is one pixel on the CPU, the kernel is cropped to the plane.

    In bf16 on the CPU, an output of up to four pixels that all meet the whole plane is one matrix product.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, O, H', W')."""
        (height, top, kernel_height), (width, left, kernel_width) = (
            (input.shape[2 + side], int(self.padding[side]), self.kernel_size[side]) for side in (0, 1)
        )
        one_pixel = (
            height + 2 * top - kernel_height < self.stride[0] and width + 2 * left - kernel_width < self.stride[1]
        )
        if not one_pixel or input.device.type != "cpu":
            sizes: Any = (self.stride, self.padding)
            if plane_matrix.suits(input, (kernel_height, kernel_width), *sizes):
                return plane_matrix.convolve(input, self.weight, self.bias, *sizes)
            return super().forward(input)
        rows, columns = min(height, kernel_height - top), min(width, kernel_width - left)
        # Negative padding crops, and its way back fills up with zeros in one go.
        kernel = F.pad(self.weight, (-left, left + columns - kernel_width, -top, top + rows - kernel_height))
        met = input[:, :, :rows, :columns]
        return F.linear(met.flatten(1), kernel.flatten(1), self.bias)[:, :, None, None]


def crop_convolutions(network: nn.Module) -> None:
    """Replace each suitable convolution of a network by a `CroppedConv2d` with the same parameters."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Conv2d and _can_be_cropped(child):
                setattr(parent, name, _cropped(child))


def _can_be_cropped(convolution: nn.Conv2d) -> bool:
    plain = (convolution.groups, convolution.dilation, convolution.padding_mode) == (1, (1, 1), "zeros")
    return plain and not isinstance(convolution.padding, str)


def _cropped(convolution: nn.Conv2d) -> CroppedConv2d:
    sizes: Any = {name: getattr(convolution, name) for name in ("kernel_size", "stride", "padding")}
    cropped = CroppedConv2d(
        convolution.in_channels, convolution.out_channels, bias=convolution.bias is not None, device="meta", **sizes
    )
    cropped.weight, cropped.bias = convolution.weight, convolution.bias
    return cropped


_TRACING = threading.Lock()
"""Tracing patches `nn.Module` for the whole process, so two traces at once would restore each other's patches."""


class _Tracer(fx.Tracer):
    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, CroppedConv2d) or super().is_leaf_module(module, name)

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        # The patch also catches networks that other threads train meanwhile.
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)


def graph_of(network: nn.Module) -> fx.Graph:
    """Traced graph of a network. A cropped convolution is one node."""
    with _TRACING:
        return _Tracer().trace(network)
