"""File of a record: writing, and reading with the refusal of what is damaged, a copy, or newer. No torch."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from cifar_lab.core.atomic_io import write_bytes
from cifar_lab.core.checksums import BrokenSealError, seal_record, unseal_record
from cifar_lab.core.errors import DataError
from cifar_lab.core.files import NotRegularError, read_regular
from cifar_lab.core.identity import RUN_ID
from cifar_lab.core.text import plain
from cifar_lab.store.records import SCHEMA, Record

NO_SUCH_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
"""Errors of the system for a missing file. Writing to its path reports the cause."""


class DamagedRecordError(DataError):
    """A record with a wrong checksum or content. It is set aside and the run made again."""

    def __init__(
        self,
        path: Path,
        what: str = "is damaged",
        remedy: str = "; `cifar-lab run` with its settings sets it aside and retrains the run",
    ) -> None:
        super().__init__(f"{path}: {what}{remedy}")
        self.path, self.what = path, what


class CopiedRecordError(DamagedRecordError):
    """A record in a folder of another name: a copied run, which must not count twice."""

    def __init__(self, path: Path, run_id: str) -> None:
        self.run_id = run_id
        # A folder with the name of a run has lost its own record. Any other name was given by a user.
        self.is_backup = RUN_ID.fullmatch(path.parent.name) is None
        if self.is_backup:
            what = f"is a copy of run {run_id} and is not counted; move {path.parent} elsewhere"
            super().__init__(path, what, remedy="")
        else:
            super().__init__(path, f"is the record of another run, {run_id}")


def write_record(path: Path, record: Record) -> None:
    """Replace the record in `path`.

    Raises:
        EnvironmentFault: it cannot be written.
    """
    write_bytes(path, seal_record(record.model_dump_json(indent=1)))


def read_sealed(path: Path, damaged: Callable[[Path, str], DataError]) -> tuple[bytes, bool]:
    """(JSON object in `path` without its checksum, whether it had one).

    Args:
        damaged: error of a damaged file, by the path and what is wrong with it.

    Raises:
        FileNotFoundError: the file is missing.
        DataError: it cannot be read, or that of `damaged`.
    """
    try:
        return unseal_record(read_regular(path))
    except NotRegularError as error:
        raise damaged(path, "is damaged (not a regular file)") from error
    except OSError as error:
        if error.errno in NO_SUCH_FILE:
            raise FileNotFoundError(error.errno, error.strerror, str(path)) from error
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except BrokenSealError as error:
        raise damaged(path, "is damaged") from error


def refuse_newer(path: Path, schema: int, newest: int) -> None:
    """Refuse a record of a newer version of cifar-lab.

    Raises:
        DataError: it is.
    """
    if schema > newest:
        raise DataError(
            f"{path}: has schema {str(schema)[:20]}, but this cifar-lab reads up to {newest}; install a newer cifar-lab"
        )


def read_record(path: Path) -> Record:
    """The record in `path`.

    Raises:
        FileNotFoundError: the file is missing.
        DataError: it is damaged, a copy of another run's, or of a newer version of cifar-lab. Names the file and the
            remedy.
    """
    content, is_sealed = read_sealed(path, DamagedRecordError)
    try:
        record = Record.model_validate_json(content)
    except ValidationError as error:
        refuse_newer(path, schema_in(content), SCHEMA)
        reason = _reason(error)
        raise DamagedRecordError(path, f"is damaged ({reason})" if reason else "is damaged") from error
    refuse_newer(path, record.schema_, SCHEMA)
    if is_sealed != (record.schema_ > 1):
        raise DamagedRecordError(path)
    if record.run_id != path.parent.name:
        raise CopiedRecordError(path, record.run_id)
    return record


def _reason(error: ValidationError) -> str:
    """The first value that no run writes, by its key. Empty where the file is no JSON."""
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return ""
    return plain(": ".join(part for part in (".".join(map(str, first["loc"])), first["msg"]) if part))[:200]


def schema_in(content: bytes) -> int:
    """Schema stated by a record with unknown keys. 0 where it states none."""
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        return 0
    schema = values.get("schema") if isinstance(values, dict) else None
    return schema if type(schema) is int else 0
