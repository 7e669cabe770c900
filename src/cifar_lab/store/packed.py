"""packed.json of a results folder that was unpacked: files of the runs that the pack does not have. No torch."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from cifar_lab.core.atomic_io import write_bytes
from cifar_lab.core.errors import DataError
from cifar_lab.store.documents import read_document, seal_document

PACKED = "packed.json"


def write_packed(results: Path, left_out: Iterable[str]) -> None:
    """Note the names of the files that no run has here."""
    write_bytes(results / PACKED, seal_document({"left_out": sorted(left_out)}))


def is_left_out(path: Path) -> bool:
    """Whether a file of a run is missing because the pack of its results folder was made without it."""
    if os.path.lexists(path):
        return False
    try:
        found = read_document(path.parents[2] / PACKED)
    except (FileNotFoundError, DataError):
        return False
    left_out = found.values.get("left_out")
    return found.is_checked and isinstance(left_out, list) and path.name in left_out
