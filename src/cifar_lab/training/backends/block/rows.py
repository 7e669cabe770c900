"""Layout of a network's numbers for the block kernel, and its conversion to the layout of checkpoints.

The kernel reads convolutions as [input tap][output channel] and linear layers as [input][output], so that neighbouring
threads read neighbouring weights. Its rows exist within an epoch only. Padding is 0 in both layouts and stays 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from cifar_lab.models.flat_parameters import ALIGNMENT, FlatParameters

WIDTHS = (6, 16, 120, 84)
"""Outputs of conv1, conv2, fc1 and fc2 in Net."""


class PaddedMatrix(NamedTuple):
    """One parameter in a row, as [input][output]."""

    name: str
    offset: int
    inputs: int
    outputs: int
    padded: int
    """Outputs with their padding."""


def matrices(classes: int) -> Iterator[PaddedMatrix]:
    """Each parameter of Net, in order."""
    layers = zip(
        ("conv1", "conv2", "fc1", "fc2", "fc3"), (75, 150, 400, 120, 84), (*WIDTHS, classes), (8, 16, 4, 4, 4),
        strict=True,
    )  # fmt: skip
    offset = 0
    for layer, inputs, outputs, whole in layers:
        padded = math.ceil(outputs / whole) * whole
        for name, rows in (("weight", inputs), ("bias", 1)):
            yield PaddedMatrix(f"{layer}.{name}", offset, rows, outputs, padded)
            offset += rows * padded


def row_width(classes: int) -> int:
    """Numbers in a row, whole cache lines."""
    *_, last = matrices(classes)
    return math.ceil((last.offset + last.padded) / ALIGNMENT) * ALIGNMENT


def definitions(classes: int) -> dict[str, int]:
    """Constants of layout.cuh."""
    offsets = {each.name.replace(".", "_").upper(): each.offset for each in matrices(classes)}
    return {"CLASSES": classes, **offsets, "ROW": row_width(classes)}


@dataclass(frozen=True)
class RowConversion:
    """Conversion between the rows of `FlatParameters` and those of the kernel. It only moves numbers."""

    to_kernel: Tensor
    """(row_width,): column of `FlatParameters` for each number of a row."""
    to_flat: Tensor
    """The inverse."""

    @classmethod
    def of(cls, parameters: FlatParameters, classes: int) -> RowConversion:
        """Conversion for networks of the shape of Net.

        Raises:
            ValueError: networks with other parameters.
        """
        columns = torch.arange(parameters.values.shape[1])
        spans = {span.name: columns.as_strided(span.shape, span.stride, span.offset) for span in parameters.spans}
        found = list(matrices(classes))
        sizes = {each.name: each.inputs * each.outputs for each in found}
        if {name: index.numel() for name, index in spans.items()} != sizes:
            raise ValueError("networks with other parameters than Net")
        used = torch.cat([index.flatten() for index in spans.values()])
        unused = columns[~torch.isin(columns, used)][0]  # 450 numbers of conv1 leave some in any layout
        to_kernel = torch.full((row_width(classes),), int(unused))
        for each in found:
            matrix = to_kernel[each.offset : each.offset + each.inputs * each.padded].view(each.inputs, each.padded)
            matrix[:, : each.outputs] = spans[each.name].reshape(each.outputs, each.inputs).T
        to_flat = torch.full_like(columns, found[0].outputs)  # the first padding of conv1
        to_flat[to_kernel] = torch.arange(len(to_kernel))
        to_flat[unused] = found[0].outputs
        device = parameters.values.device
        return cls(to_kernel.to(device), to_flat.to(device))

    def kernel_rows(self, flat: Tensor) -> Tensor:
        """(K, P) to (K, row_width), a copy."""
        return flat.index_select(1, self.to_kernel)

    def store(self, rows: Tensor, flat: Tensor) -> None:
        """Copy the kernel's rows back."""
        torch.index_select(rows, 1, self.to_flat, out=flat)
