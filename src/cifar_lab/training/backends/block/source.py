"""Source of the block kernel: its files, and the constants that it is compiled with."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from cifar_lab.training.backends.block.jobs import SIZES
from cifar_lab.training.backends.block.rows import definitions as row_definitions
from cifar_lab.training.backends.block.shapes import Shape

FOLDER = Path(__file__).parent / "kernel"

MAIN = FOLDER / "block.cu"
"""File that includes the others."""


def source_files() -> list[Path]:
    """All files, `MAIN` last."""
    return [*sorted(FOLDER.glob("*.cuh")), MAIN]


def definitions(shape: Shape, classes: int, parts: int) -> list[str]:
    """Options of the compiler: widths of the network, number of classes, and the sizes of parts, added up."""
    constants = row_definitions(shape, classes) | SIZES | {"PARTS": parts}
    return [f"-D{name}={value}" for name, value in constants.items()]


def units(shape: Shape, classes: int, parts: Collection[int]) -> list[list[str]]:
    """Options of the compiler for each unit of the code for a GPU, the slowest first.

    Training with parts of one size is a unit, so that a cohort of any sizes finds it in the cache. The last unit has
    the kernel that calls them, which is compiled in no time.
    """
    sizes = sorted(set(parts), reverse=True)
    called = [*(f"-DUNIT_TRAIN={size}" for size in sizes), "-DUNIT_SCORE"]
    return [
        *([unit, *definitions(shape, classes, 0)] for unit in called),
        ["-DUNIT_ENTRY", *definitions(shape, classes, sum(sizes))],
    ]
