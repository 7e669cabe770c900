"""Source of the block kernel: its files, and the constants that it is compiled with."""

from __future__ import annotations

from pathlib import Path

from cifar_lab.training.backends.block.jobs import SIZES
from cifar_lab.training.backends.block.rows import definitions as row_definitions
from cifar_lab.training.backends.block.shapes import Shape

FOLDER = Path(__file__).parent

MAIN = FOLDER / "block.cu"
"""File that includes the others."""


def source_files() -> list[Path]:
    """All files, `MAIN` last."""
    return [*sorted(FOLDER.glob("*.cuh")), MAIN]


def definitions(shape: Shape, classes: int, parts: int) -> list[str]:
    """Options of the compiler: widths of the network, number of classes, and the sizes of parts, added up."""
    constants = row_definitions(shape, classes) | SIZES | {"PARTS": parts}
    return [f"-D{name}={value}" for name, value in constants.items()]
