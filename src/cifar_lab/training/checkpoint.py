"""Checkpoint of a run in one file: written atomically, with a checksum, never unpickled unless it is intact."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from cifar_lab.core.atomic_io import disk_errors, rename, set_aside, write_bytes
from cifar_lab.core.atomic_io import remove as remove_files
from cifar_lab.core.checksums import BrokenSealError, seal_checkpoint, unseal_checkpoint
from cifar_lab.core.files import NotRegularError, read_regular
from cifar_lab.store.run_paths import previous as previous


class DamagedCheckpointError(Exception):
    """The file is not what `save` wrote."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, None, lists and dicts of them) to `path`, and keep the previous one.

    The last checkpoint becomes `<name>.previous`, so damage to one file costs the epochs since and not the run.

    Raises:
        EnvironmentFault: the disk is full, or the folder is missing.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    if path.exists():
        with disk_errors(path):
            rename(path, previous(path), sync=False)
    write_bytes(path, seal_checkpoint(path.parent.name, buffer.getvalue()))


def load(path: Path) -> dict[str, Any]:
    """Load the state that `save` wrote, with tensors on the CPU.

    Raises:
        FileNotFoundError: no such file.
        DamagedCheckpointError: the checksum does not match, and the content was not parsed. Or the content holds more
            than `save` writes, and none of it was executed.
    """
    try:
        payload = unseal_checkpoint(path.parent.name, read_regular(path))
    except (BrokenSealError, NotRegularError) as error:
        raise DamagedCheckpointError(f"{path.name} is damaged") from error
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:  # the reader names no set of exceptions
        raise DamagedCheckpointError(
            f"{path.name} is not a checkpoint of this version ({type(error).__name__})"
        ) from error
    return state


def load_newest(path: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """(state or None, notes) of the newest intact checkpoint. A damaged one is renamed to `<name>.damaged`."""
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
    """Delete the checkpoint and the previous one."""
    remove_files(path, previous(path))
