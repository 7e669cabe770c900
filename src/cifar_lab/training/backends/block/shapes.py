"""Widths of the networks that the block kernel is compiled for. No torch."""

from __future__ import annotations

from typing import NamedTuple


class Shape(NamedTuple):
    """Widths of a network of the Net family, which the source is compiled for."""

    conv1: int
    """Outputs, as of the next three."""
    conv2: int
    fc1: int
    fc2: int
    scratch_kib: int
    """Memory per block for activations and gradients of one part of a batch. layout.cuh checks that it suffices."""

    @property
    def scratch_bytes(self) -> int:
        """`scratch_kib` in bytes."""
        return self.scratch_kib * 1024


NET = Shape(6, 16, 120, 84, scratch_kib=1_600)
NET3 = Shape(12, 32, 240, 168, scratch_kib=3_600)
