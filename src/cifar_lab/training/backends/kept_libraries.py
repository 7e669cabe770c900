"""Compiled kernels, kept in a folder that no other user can write. No torch."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from cifar_lab.core.atomic_io import make_folder, write_bytes
from cifar_lab.core.checksums import is_whole_library, seal_library
from cifar_lab.core.errors import LabError, SettingsError
from cifar_lab.core.files import open_file
from cifar_lab.core.private_folders import exposed_part, is_private
from cifar_lab.data.cache import home

LIBRARY_BYTES = 64 * 2**20
"""Largest library. The C kernels have about 0.1 MB, the block kernel 1 MB."""


class KernelsUnavailable(Exception):
    """The kernels are not available. The message gives the reason for the record."""

    def as_settings_error(self) -> SettingsError:
        """Error for settings that require the kernels."""
        return SettingsError(f"runtime.kernels: own is not available: {self}; use --set runtime.kernels=auto")


def kept_or_made(name: str, make: Callable[[Path], bytes]) -> tuple[bytes, Path]:
    """Content and path of a library in the cache, made if it is missing or damaged.

    A library runs as whoever loads it. Its checksum does not say who wrote it, so the folder and the file must be
    private. Load the bytes that are returned, because they were checked.

    Args:
        name: of the file.
        make: called with the folder if there is no such file.

    Raises:
        KernelsUnavailable: `make` raises it, or the cache is not writable or not private.
    """
    folder = _folder()
    path = folder / name
    try:
        content = _kept(path)
        if content is None:
            content = seal_library(make(folder))
            make_folder(folder, mode=0o755)
            if exposed_part(folder) is not None:  # another user was faster to make it
                raise KernelsUnavailable(f"{folder} can be changed by other users; remove it")
            write_bytes(path, content, mode=0o644)
    except LabError as error:
        raise KernelsUnavailable(f"they cannot be stored: {error}") from error
    except OSError as error:
        raise KernelsUnavailable(f"{folder}: {error.strerror}") from error
    return content, path


def _folder() -> Path:
    """Folder of libraries: in the cache, or where others can write there, in the folder for temporary files."""
    try:
        chosen = home() / "kernels"
    except LabError as error:
        raise KernelsUnavailable(str(error)) from error
    exposed: list[Path] = []
    for folder in (chosen, Path(tempfile.gettempdir()) / f"cifar-lab-{os.geteuid()}"):
        try:
            part = exposed_part(folder)
        except OSError as error:
            raise KernelsUnavailable(f"{folder}: {error.strerror}") from error
        if part is None:
            return folder
        exposed.append(part)
    raise KernelsUnavailable(
        f"{' and '.join(map(str, dict.fromkeys(exposed)))} may be changed by others; "
        "set CIFAR_LAB_CACHE to a folder that only you can write"
    )


def _kept(path: Path) -> bytes | None:
    """Content of a library that was kept. None if it is missing or damaged.

    Raises:
        KernelsUnavailable: another user owns it, or may write it.
        OSError: it cannot be read.
    """
    try:
        with open_file(path, LIBRARY_BYTES) as file:
            if not is_private(os.fstat(file.fileno())):
                raise KernelsUnavailable(f"{path} can be changed by other users; remove it")
            content = file.read()
    except FileNotFoundError:
        return None
    return content if is_whole_library(content) else None


def private_scratch(keep: Path) -> Path:
    """Folder for temporary files that no other user can replace."""
    scratch = Path(tempfile.gettempdir())
    if exposed_part(scratch, is_sticky_enough=True) is None:
        return scratch
    make_folder(keep, mode=0o755)
    return keep
