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
from cifar_lab.training.backends.block.shapes import Shape

VECTOR = 4
"""Numbers of the widest load. The outputs of a layer are padded to whole vectors."""


class PaddedMatrix(NamedTuple):
    """One parameter in a row, as [input][output]."""

    name: str
    offset: int
    inputs: int
    outputs: int
    padded: int
    """Outputs with their padding."""


NORM_LAYERS = {"bn1": "conv1", "bn2": "conv2", "bn3": "fc1"}
"""Each BatchNorm, and the layer before it, with as many outputs."""


def matrices(shape: Shape, classes: int) -> Iterator[PaddedMatrix]:
    """Each parameter of a network, in order."""
    layers = (
        ("conv1", 3 * 25, shape.conv1), ("conv2", shape.conv1 * 25, shape.conv2), ("fc1", shape.conv2 * 25, shape.fc1),
        ("fc2", shape.fc1, shape.fc2), ("fc3", shape.fc2, classes),
        *((name, 1, width) for name, width in norm_widths(shape).items()),
    )  # fmt: skip
    offset = 0
    for layer, inputs, outputs in layers:
        padded = math.ceil(outputs / VECTOR) * VECTOR
        for name, rows in (("weight", inputs), ("bias", 1)):
            yield PaddedMatrix(f"{layer}.{name}", offset, rows, outputs, padded)
            offset += rows * padded


def norm_widths(shape: Shape) -> dict[str, int]:
    """Channels of each BatchNorm."""
    return {name: getattr(shape, before) for name, before in NORM_LAYERS.items()} if shape.batch_norm else {}


def row_width(shape: Shape, classes: int) -> int:
    """Numbers in a row, whole cache lines. At least the last one is padding."""
    *_, last = matrices(shape, classes)
    return math.ceil((last.offset + last.padded + 1) / ALIGNMENT) * ALIGNMENT


def share_width(shape: Shape, classes: int) -> int:
    """Numbers of the gradient of a share of a batch, with its loss and hits."""
    return row_width(shape, classes) + ALIGNMENT


def definitions(shape: Shape, classes: int) -> dict[str, int]:
    """Constants of layout.cuh."""
    widths = {"CHANNELS1": shape.conv1, "CHANNELS2": shape.conv2, "HIDDEN1": shape.fc1, "HIDDEN2": shape.fc2}
    offsets = {each.name.replace(".", "_").upper(): each.offset for each in matrices(shape, classes)}
    sizes = {"SCRATCH_BYTES": shape.scratch_bytes, "PART_BYTES": shape.part_bytes}
    sizes |= {"ROW": row_width(shape, classes), "SHARE_ROW": share_width(shape, classes)}
    return {**widths, "CLASSES": classes, "BATCH_NORM": int(shape.batch_norm), **offsets, **sizes}


@dataclass(frozen=True)
class RowConversion:
    """Conversion between the rows of `FlatParameters` and those of the kernel. It only moves numbers."""

    to_kernel: Tensor
    """(row_width,): column of `FlatParameters` for each number of a row."""
    to_flat: Tensor
    """The inverse."""

    @classmethod
    def of(cls, parameters: FlatParameters, shape: Shape, classes: int) -> RowConversion:
        """Conversion for networks of this shape.

        Raises:
            ValueError: networks with other parameters.
        """
        columns = torch.arange(parameters.values.shape[1])
        spans = {span.name: columns.as_strided(span.shape, span.stride, span.offset) for span in parameters.spans}
        found = list(matrices(shape, classes))
        sizes = {each.name: each.inputs * each.outputs for each in found}
        if {name: index.numel() for name, index in spans.items()} != sizes:
            raise ValueError("networks of other widths")
        used = torch.cat([index.flatten() for index in spans.values()])
        unused = columns[~torch.isin(columns, used)][0]  # biases leave some: no width of conv1 is a multiple of 16
        to_kernel = torch.full((row_width(shape, classes),), int(unused))
        for each in found:
            matrix = to_kernel[each.offset : each.offset + each.inputs * each.padded].view(each.inputs, each.padded)
            matrix[:, : each.outputs] = spans[each.name].reshape(each.outputs, each.inputs).T
        padding = len(to_kernel) - 1
        to_flat = torch.full_like(columns, padding)
        to_flat[to_kernel] = torch.arange(len(to_kernel))
        to_flat[unused] = padding
        device = parameters.values.device
        return cls(to_kernel.to(device), to_flat.to(device))

    def kernel_rows(self, flat: Tensor) -> Tensor:
        """(K, P) to (K, row_width), a copy."""
        return flat.index_select(1, self.to_kernel)

    def store(self, rows: Tensor, flat: Tensor) -> None:
        """Copy the kernel's rows back."""
        torch.index_select(rows, 1, self.to_flat, out=flat)
