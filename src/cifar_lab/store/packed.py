"""packed.json of a results folder that was unpacked: files of the runs that the pack does not have. No torch."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cifar_lab.core.atomic_io import write_bytes
from cifar_lab.core.checksums import BrokenSealError, seal_record, unseal_record
from cifar_lab.core.files import read_regular

PACKED = "packed.json"


def write_packed(results: Path, left_out: Iterable[str]) -> None:
    """Note the names of the files that no run has here."""
    write_bytes(results / PACKED, seal_record(json.dumps({"schema": 2, "left_out": sorted(left_out)}, indent=1)))


def is_left_out(path: Path) -> bool:
    """Whether a file of a run is missing because the pack of its results folder was made without it."""
    if os.path.lexists(path):
        return False
    try:
        content, is_sealed = unseal_record(read_regular(path.parents[2] / PACKED))
        found: Any = json.loads(content)
    except (OSError, BrokenSealError, ValueError, RecursionError):
        return False
    left_out = found.get("left_out") if isinstance(found, dict) and is_sealed else None
    return isinstance(left_out, list) and path.name in left_out
