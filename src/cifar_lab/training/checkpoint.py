"""The state of a run under way in one file: atomic, with a checksum, never unpickled unless it is whole."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from cifar_lab.core.atomic_io import disk_errors, rename, set_aside, write_bytes
from cifar_lab.core.atomic_io import remove as remove_files
from cifar_lab.core.checksums import BrokenSealError, seal_checkpoint, unseal_checkpoint
from cifar_lab.store.run_folder import previous as previous


class DamagedCheckpointError(Exception):
    """The file is not what was saved: cut, altered, or something else altogether."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, None, lists and dicts of them) to `path`; keep the one before.

    The last checkpoint becomes `<name>.previous`, so damage to one file costs an epoch and not the run.

    Raises:
        EnvironmentFault: the disk is full, or the folder is gone.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    if path.exists():
        with disk_errors(path):
            rename(path, previous(path), sync=False)
    write_bytes(path, seal_checkpoint(path.parent.name, buffer.getvalue()))


def load(path: Path) -> dict[str, Any]:
    """The state that `save` wrote, tensors on the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedCheckpointError: its checksum does not hold, and nothing of it was interpreted; or it holds more than
            `save` writes, and nothing of it was run.
    """
    try:
        payload = unseal_checkpoint(path.parent.name, path.read_bytes())
    except BrokenSealError as error:
        raise DamagedCheckpointError(f"{path.name} is damaged") from error
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:  # the reader names no set of exceptions
        raise DamagedCheckpointError(
            f"{path.name} is no checkpoint of this version ({type(error).__name__})"
        ) from error
    return state


def load_newest(path: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """(state or None, notes): the newest good checkpoint; a damaged one is set aside as `<name>.damaged`."""
    notes: list[str] = []
    for candidate in (path, previous(path)):
        try:
            return load(candidate), notes
        except FileNotFoundError:
            continue
        except DamagedCheckpointError as error:
            aside = set_aside(candidate)
            notes.append(f"{error}; set aside as {aside.name}")
    return None, notes


def remove(path: Path) -> None:
    """Delete the checkpoint and the one before it."""
    remove_files(path, previous(path))
