"""The state of a run under way in one file: atomic, with a checksum, never unpickled unless it is whole."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from cifar_lab.durable import disk_errors, write_bytes

MAGIC = b"cifar-lab checkpoint 1\n"
_DIGEST_SIZE = hashlib.sha256().digest_size


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
    payload = buffer.getvalue()
    if path.exists():
        with disk_errors(path):
            path.replace(previous(path))
    write_bytes(path, MAGIC + _digest(path, payload) + payload)


def load(path: Path) -> dict[str, Any]:
    """The state that `save` wrote, tensors on the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedCheckpointError: its checksum does not hold, and nothing of it was interpreted; or it holds more than
            `save` writes, and nothing of it was run.
    """
    content = path.read_bytes()
    start = len(MAGIC) + _DIGEST_SIZE
    payload = content[start:]
    if not content.startswith(MAGIC) or _digest(path, payload) != content[len(MAGIC) : start]:
        raise DamagedCheckpointError(f"{path.name} is damaged")
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
            aside = candidate.with_name(candidate.name + ".damaged")
            with disk_errors(candidate):
                candidate.replace(aside)
            notes.append(f"{error}; set aside as {aside.name}")
    return None, notes


def remove(path: Path) -> None:
    """Delete the checkpoint and the one before it."""
    path.unlink(missing_ok=True)
    previous(path).unlink(missing_ok=True)


def previous(path: Path) -> Path:
    """Where the checkpoint before the last one lies."""
    return path.with_name(path.name + ".previous")


def _digest(path: Path, payload: bytes) -> bytes:
    """SHA-256 over the run's id, which names the folder, and the payload: another run's checkpoint is damage too."""
    return hashlib.sha256(path.parent.name.encode() + payload).digest()
