"""record.json as a file: written with its checksum, read back as it was written or refused. No torch."""

from __future__ import annotations

import errno
import json
from pathlib import Path

from pydantic import ValidationError

from cifar_lab.core.atomic_io import write_bytes
from cifar_lab.core.checksums import BrokenSealError, seal_record, unseal_record
from cifar_lab.core.errors import DataError
from cifar_lab.store.records import SCHEMA, Record

NO_SUCH_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
"""Errors of the system that mean that there is no file: writing to its place is what will be refused."""


class DamagedRecordError(DataError):
    """A record that is not what was written: it is set aside and the run made again, never used."""


class CopiedRecordError(DamagedRecordError):
    """A record in a folder of another name: a run that was copied, which must not count twice."""

    def __init__(self, path: Path, run_id: str) -> None:
        super().__init__(f"{path}: is a copy of run {run_id} and is not counted; move {path.parent} elsewhere")
        self.run_id = run_id


def write_record(path: Path, record: Record) -> None:
    """Replace the record in `path`.

    Raises:
        EnvironmentFault: it cannot be written.
    """
    write_bytes(path, seal_record(record.model_dump_json(indent=1)))


def read_record(path: Path) -> Record:
    """The record in `path`.

    Raises:
        FileNotFoundError: there is none.
        DataError: it is damaged, a copy of another run's, or of a newer version of cifar-lab; names the file and the
            way on.
    """
    try:
        content, is_sealed = unseal_record(path.read_bytes())
        record = Record.model_validate_json(content)
    except OSError as error:
        if error.errno in NO_SUCH_FILE:
            raise FileNotFoundError(error.errno, error.strerror, str(path)) from error
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except BrokenSealError as error:
        raise _damaged(path) from error
    except ValidationError as error:
        _refuse_newer(path, _schema_in(path))
        raise _damaged(path) from error
    _refuse_newer(path, record.schema_)
    if is_sealed != (record.schema_ > 1):
        raise _damaged(path)
    if record.run_id != path.parent.name:
        raise CopiedRecordError(path, record.run_id)
    return record


def _damaged(path: Path) -> DamagedRecordError:
    return DamagedRecordError(
        f"{path}: is damaged; `cifar-lab run` on its settings sets it aside and makes the run again"
    )


def _schema_in(path: Path) -> int:
    """The schema that a record of unknown keys says it has; 0 where it says none."""
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return 0
    schema = values.get("schema") if isinstance(values, dict) else None
    return schema if isinstance(schema, int) else 0


def _refuse_newer(path: Path, schema: int) -> None:
    if schema > SCHEMA:
        raise DataError(
            f"{path}: is of schema {schema}, this cifar-lab reads up to {SCHEMA}; install a newer cifar-lab"
        )
