"""Widths of the networks that the block kernel is compiled for. No torch."""

from __future__ import annotations

import math
from typing import NamedTuple

from cifar_lab.training.backends.block.jobs import PARTS


class Shape(NamedTuple):
    """Widths of a network of the Net family, which the source is compiled for."""

    conv1: int
    """Outputs, as of the next three."""
    conv2: int
    fc1: int
    fc2: int
    scratch_kib: int
    """Memory per block for activations and gradients of one part of a batch. layout.cuh checks that it suffices."""

    part_kib: int = 0
    """Memory per block and 64 images of a batch, of a network with BatchNorm. 0 for others."""

    @property
    def batch_norm(self) -> bool:
        """Whether BatchNorm follows both convolutions and the first linear layer."""
        return self.part_kib > 0

    @property
    def scratch_bytes(self) -> int:
        """`scratch_kib` in bytes."""
        return self.scratch_kib * 1024

    @property
    def part_bytes(self) -> int:
        """`part_kib` in bytes."""
        return self.part_kib * 1024

    def bytes_for(self, batch_size: int) -> int:
        """Memory per block that trains batches of this size."""
        return self.scratch_bytes + math.ceil(batch_size / PARTS[-1]) * self.part_bytes


NET = Shape(6, 16, 120, 84, scratch_kib=1_600)
NET1 = NET._replace(part_kib=2_660)
NET3 = Shape(12, 32, 240, 168, scratch_kib=3_600)
