"""Array files in numpy's format, verified by size and SHA-256."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from cifar_lab.core.atomic_io import new_file
from cifar_lab.core.errors import EnvironmentFault
from cifar_lab.core.files import UnsuitableFileError, open_file


class Damaged(Exception):
    """A file of the cache is damaged. The message names it. Handled within `data`."""


class FileMark(BaseModel):
    """Size and checksum of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    bytes: int
    sha256: str


def write_array(path: Path, array: NDArray[Any]) -> FileMark:
    """Write an array and flush it to the disk.

    Raises:
        OSError: the write failed.
    """
    header = io.BytesIO()
    array = np.ascontiguousarray(array)
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    digest = hashlib.sha256(header.getvalue())
    digest.update(array.data)
    with new_file(path) as file:
        file.write(header.getvalue())
        file.write(array.data)
    return FileMark(bytes=header.tell() + array.nbytes, sha256=digest.hexdigest())


def read_array(path: Path, mark: FileMark | None) -> NDArray[Any]:
    """Read an array. The bytes are read once, hashed, and then used without a copy.

    Raises:
        Damaged: the file is missing, or differs from its mark.
        EnvironmentFault: the file is not readable.
    """
    if mark is None:
        raise Damaged(f"{path}: not listed in meta.json")
    try:
        with open_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size != mark.bytes:
                raise Damaged(f"{path}: {size:,} bytes, expected {mark.bytes:,}")
            raw = np.empty(size, np.uint8)
            if file.readinto(raw.data) != size:
                raise Damaged(f"{path}: it was cut while it was read")
    except FileNotFoundError as error:
        raise Damaged(f"{path}: missing") from error
    except (UnsuitableFileError, IsADirectoryError) as error:
        raise Damaged(f"{path}: {error.strerror}") from error
    except OSError as error:
        raise fault(path, error) from error
    found = hashlib.sha256(raw.data).hexdigest()
    if found != mark.sha256:
        raise Damaged(f"{path}: SHA-256 is {found}, expected {mark.sha256}")
    header = io.BytesIO(raw[:1024].tobytes())
    np.lib.format.read_magic(header)
    shape, _, dtype = np.lib.format.read_array_header_1_0(header)
    return raw[header.tell() :].view(dtype).reshape(shape)


def fault(path: Path, error: OSError) -> EnvironmentFault:
    """Convert an `OSError` on a path of the cache into an error with advice."""
    reason = error.strerror or str(error)
    way = "free some space there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "make it readable and writable"
    return EnvironmentFault(f"{path}: {reason}; {way}, or set CIFAR_LAB_CACHE to another folder for prepared images")
