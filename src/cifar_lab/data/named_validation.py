"""Validation images that a file names by their indices, so that the split of another project can be reproduced."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from cifar_lab.core.errors import Problem, SettingsError
from cifar_lab.core.files import read_file
from cifar_lab.core.host import located
from cifar_lab.data.findings import SHOWN_NAMES
from cifar_lab.data.splits import Indices

KEY = "data.val_indices"

COLUMNS = ("index", "indices", "idx", "val_index", "val_indices", "valid_index", "valid_indices")
LISTS = ("val", "valid", "validation", "dev", "val_idx", "valid_idx", *COLUMNS)
"""Names of the column of a table, and of the list in a JSON object."""

MAX_BYTES = 64 * 2**20

Entries = tuple[tuple[str, object], ...]
"""(location, value) of each index."""


def named_indices(path: str, train: int) -> Indices:
    """Indices of the validation images among `train` training images, sorted.

    Raises:
        SettingsError: no such indices. Each problem has the line of the file.
    """
    problems: list[Problem] = []
    first: dict[int, str] = {}
    for where, value in _entries(path):
        index = _whole(value)
        if index is None:
            problems.append(Problem(where, KEY, f"{value!r} is not the index of an image"))
        elif not 0 <= index < train:
            problems.append(Problem(where, KEY, f"index {index} is out of range; the {train:,} training images have "
                                    f"the indices 0 to {train - 1}"))  # fmt: skip
        elif first.setdefault(index, where) != where:
            problems.append(Problem(where, KEY, f"index {index} is stated twice, first in {first[index]}"))
    if not problems and not first:
        problems.append(Problem(path, KEY, "the file has no index; write one per line"))
    if not problems and len(first) == train:
        problems.append(Problem(path, KEY, f"the file names all {train:,} training images; leave some to train on"))
    if problems:
        more = [Problem(path, KEY, f"{len(problems) - SHOWN_NAMES:,} more problems like these")]
        raise SettingsError([*problems[:SHOWN_NAMES], *(more if len(problems) > SHOWN_NAMES else [])])
    return np.array(sorted(first), np.int64)


def named_count(path: str) -> int:
    """Number of indices that the file has.

    Raises:
        SettingsError: the file cannot be read.
    """
    return len(_entries(path))


def _whole(value: object) -> int | None:
    """An index as an integer, also where it was saved as a float or as text. None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None


def _entries(path: str) -> Entries:
    file = located(path)
    try:
        facts = file.stat()
        return _read(path, file, facts.st_size, facts.st_mtime_ns)
    except OSError as error:
        raise _refuse(path, f"cannot be read ({error.strerror or error}); check the path") from error


@lru_cache(maxsize=4)
def _read(path: str, file: Path, size: int, mtime_ns: int) -> Entries:
    """Entries of a file, cached by size and time: every arm of a command may name it."""
    content, suffix = read_file(file, MAX_BYTES), file.suffix.lower()
    if suffix == ".npy":
        return tuple((f"{path}: item {at}", each) for at, each in enumerate(_of_array(path, content), 1))
    if suffix == ".json":
        return tuple((f"{path}: item {at}", each) for at, each in enumerate(_of_json(path, content), 1))
    if b"\0" in content:
        raise _refuse(path, "is not a text file; save the indices as .txt, .csv, .json or .npy")
    return tuple(_of_text(path, content.decode("utf-8-sig", "replace")))


def _of_array(path: str, content: bytes) -> list[Any]:
    try:
        array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise _refuse(path, f"cannot be read as an array ({error})") from error
    if array.dtype == bool:
        raise _refuse(path, "holds true and false; save numpy.flatnonzero of it")
    if array.dtype.kind not in "iuf" or array.size != max(array.shape, default=0):
        raise _refuse(path, f"holds {array.dtype} {array.shape}; save one index per image")
    values: list[Any] = array.reshape(-1).tolist()
    return values


def _of_json(path: str, content: bytes) -> list[Any]:
    try:
        value = json.loads(content)
    except ValueError as error:
        raise _refuse(path, f"is not valid JSON ({error})") from error
    if isinstance(value, dict):
        value = next((value[name] for name in LISTS if name in value), None)
    if not isinstance(value, list):
        raise _refuse(path, f"has no list of indices; save [0, 5, …], or an object with the key {LISTS[0]}")
    return value


def _of_text(path: str, text: str) -> Iterator[tuple[str, str]]:
    """One index per line, or the column of a table whose header names it. A `#` starts a comment."""
    lines = ((number, line.partition("#")[0].strip()) for number, line in enumerate(text.splitlines(), 1))
    rows = [(number, [cell.strip("'\"") for cell in _SEPARATOR.split(line)]) for number, line in lines if line]
    column = 0
    if rows and all(_whole(cell) is None for cell in rows[0][1]):
        column = _column(path, [cell.lower() for cell in rows.pop(0)[1]])
    elif several := next((number for number, cells in rows if len(cells) > 1), None):
        raise _refuse(f"{path}:{several}", "several values in a line; write one index per line")
    for number, cells in rows:
        yield f"{path}:{number}", cells[column] if column < len(cells) else ""


def _column(path: str, header: list[str]) -> int:
    """Column of a table that has the indices: the one that is named so, or the only one."""
    named = [at for at, name in enumerate(header) if name in COLUMNS]
    if not named and len(header) > 1:
        raise _refuse(path, f"no column is called index; the columns are {', '.join(header)}")
    return named[0] if named else 0


_SEPARATOR = re.compile(r"\s*[,;\t]\s*|\s+")


def _refuse(path: str, message: str) -> SettingsError:
    return SettingsError([Problem(path, KEY, message)])
