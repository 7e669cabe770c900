"""Files that settings name by their path, on a machine that has them elsewhere: in a folder of files sent to it."""

from __future__ import annotations

import os
from pathlib import Path

SHIPPED = "CIFAR_LAB_SHIPPED"
"""Variable of a worker on another machine: the folder below which files lie as they do on the first one."""


def located(path: str | Path) -> Path:
    """Where a file of that path lies here: below `$CIFAR_LAB_SHIPPED` where it was sent, else where it says."""
    root, path = os.environ.get(SHIPPED), Path(path)
    if root and path.is_absolute() and (sent := below(Path(root), path)).exists():
        return sent
    return path


def below(root: Path, path: Path) -> Path:
    """The place of an absolute path in a folder that stands for the root of the file system."""
    return root.joinpath(*path.parts[1:])
