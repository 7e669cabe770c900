"""Convolution of a plane so small that every output pixel meets all of it, as one matrix product.

Of a 2 × 2 plane and a kernel of 3 × 3 weights each output pixel meets all four pixels, by another window of the kernel.
The windows side by side are a matrix of (output pixels · outputs) × (pixels · inputs), without a multiplication by
padding. In bf16 on the CPU, forward and backward pass of such a layer of ResNet-18 take 40 % of the time of torch's
convolution (docs/performance.md). In fp32 torch's is kept, because the product rounds differently.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

MOST_PIXELS = 4
"""Output pixels. The matrix has as many copies of each window as there are outputs."""


def suits(input: Tensor, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]) -> bool:
    """Whether the product is faster: bf16 on the CPU, channels last, and windows that cover the plane."""
    if input.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    if not torch.is_autocast_enabled("cpu") or torch.get_autocast_dtype("cpu") != torch.bfloat16:
        return False
    starts = [_starts(*each) for each in zip(input.shape[2:], kernel, stride, padding, strict=True)]
    sides = zip(starts, input.shape[2:], kernel, strict=True)
    covered = all(0 <= start <= side - length for at, length, side in sides for start in at)
    pixels = len(starts[0]) * len(starts[1])
    return covered and 1 < pixels <= MOST_PIXELS and input.is_contiguous(memory_format=torch.channels_last)


def convolve(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """(B, C, H, W) to (B, O, H', W'), channels last. For inputs that `suits`, under autocast."""
    rows, columns = (
        _starts(input.shape[2 + side], weight.shape[2 + side], stride[side], padding[side]) for side in (0, 1)
    )
    matrix = _Windows.apply(weight, rows, columns, (input.shape[2], input.shape[3]))
    flat = input.permute(0, 2, 3, 1).flatten(1)  # (B, H · W · C), a view
    repeated = None if bias is None else bias.repeat(len(rows) * len(columns))
    out = F.linear(flat, matrix, repeated)  # (B, H' · W' · O)
    return out.view(len(input), len(rows), len(columns), len(weight)).permute(0, 3, 1, 2)


def _starts(length: int, kernel: int, stride: int, padding: int) -> list[int]:
    """Position in the kernel of the plane's first pixel, for each output pixel along one side."""
    return [padding - stride * pixel for pixel in range((length + 2 * padding - kernel) // stride + 1)]


class _Windows(torch.autograd.Function):
    """Windows of a kernel (O, C, h, w) as a matrix (H' · W' · O, H · W · C) in bf16."""

    @staticmethod
    def forward(weight: Tensor, rows: list[int], columns: list[int], plane: tuple[int, int]) -> Tensor:
        outputs, channels = weight.shape[:2]
        shape = (len(rows), len(columns), outputs, *plane, channels)
        windows = torch.empty(shape, dtype=torch.bfloat16)
        for pixel, window in _windows(weight.permute(0, 2, 3, 1), rows, columns, plane):
            windows[pixel].copy_(window)
        return windows.view(-1, plane[0] * plane[1] * channels)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        weight, *ctx.places = inputs
        ctx.shape = weight.shape

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        outputs, channels, height, width = ctx.shape
        rows, columns, plane = ctx.places
        total = torch.zeros(outputs, height, width, channels)
        windows = gradient.view(len(rows), len(columns), outputs, *plane, channels)
        for pixel, window in _windows(total, rows, columns, plane):
            window += windows[pixel]
        return total.permute(0, 3, 1, 2), None, None, None


def _windows(
    kernel: Tensor, rows: list[int], columns: list[int], plane: tuple[int, int]
) -> Iterator[tuple[tuple[int, int], Tensor]]:
    """Each output pixel, and its window of a kernel (O, h, w, C)."""
    for y, top in enumerate(rows):
        for x, left in enumerate(columns):
            yield (y, x), kernel[:, top : top + plane[0], left : left + plane[1]]
