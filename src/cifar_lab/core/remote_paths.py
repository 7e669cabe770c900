"""Paths in settings on a remote machine, where the files lie below a folder of shipped files."""

from __future__ import annotations

import os
from pathlib import Path

SHIPPED = "CIFAR_LAB_SHIPPED"
"""Environment variable of a remote worker: the folder that stands for the root of the first machine's file system."""


def located(path: str | Path) -> Path:
    """Path of a file on this machine: below `$CIFAR_LAB_SHIPPED` where it was shipped, else unchanged."""
    root, path = os.environ.get(SHIPPED), Path(path)
    if root and path.is_absolute() and (sent := below(Path(root), path)).exists():
        return sent
    return path


def below(root: Path, path: Path) -> Path:
    """An absolute path, relative to a folder that stands for the root of the file system."""
    return root.joinpath(*path.parts[1:])
