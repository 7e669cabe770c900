"""failure.json in a run's folder: the reason why the last attempt of the run failed.

Written when a run fails, and removed when it is started again or done. A folder with a valid record is done, whatever
other files it has.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from cifar_lab.core.atomic_io import make_folder, remove, write_bytes
from cifar_lab.core.checksums import BrokenSealError, seal_record, unseal_record
from cifar_lab.core.errors import DataError, EnvironmentFault
from cifar_lab.core.files import read_regular
from cifar_lab.core.host import utc_now
from cifar_lab.store.left_out import leave_out
from cifar_lab.store.ranges import Count
from cifar_lab.store.records import Plain

if TYPE_CHECKING:
    from cifar_lab.store.run_folder import RunFolder

Kind = Literal["killed", "oom", "timeout", "import", "settings", "data", "environment", "error"]
"""Kind of failure: process killed, out of memory, timeout, failed import, refused settings, data or environment (exit
codes 2, 3 and 4), any other exception."""


FORMAT: Literal[2] = 2
"""Version of failure.json."""


class Failure(Plain):
    """Content of failure.json."""

    format: Literal[1, 2] = FORMAT
    """1: without a checksum. 2: with a checksum (see `core.checksums`)."""
    run_id: str
    label: str
    seed: int
    kind: Kind
    reason: str
    exit_code: Count
    attempts: Count
    """Processes that were started for the run."""
    when: str
    """UTC, ISO 8601."""


def read_failure(folder: RunFolder) -> Failure | None:
    """Reason why the run failed. None for no failure, and for a damaged file, which is named."""
    try:
        return _read(folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, DataError):
        leave_out(folder.left_out(folder.failure, "is damaged"))
        return None


def failure_mark(folder: RunFolder) -> int | None:
    """Number that changes whenever a failure is noted. None without a failure."""
    try:
        return folder.failure.lstat().st_mtime_ns
    except OSError:
        return None


def verify_failure(folder: RunFolder) -> bool:
    """Whether failure.json has a checksum. False without one, and for a missing file.

    Raises:
        DataError: it is damaged.
    """
    try:
        return _read(folder).format > 1
    except FileNotFoundError:
        return False
    except OSError as error:
        raise DataError(f"{folder.failure}: is damaged ({error.strerror})") from error


def _read(folder: RunFolder) -> Failure:
    """Content of failure.json.

    Raises:
        OSError: it is missing or unreadable.
        DataError: it is damaged.
    """
    folder.refuse_link()
    try:
        content, is_sealed = unseal_record(read_regular(folder.failure))
        failure = Failure.model_validate_json(content)
    except (BrokenSealError, ValidationError) as error:
        raise DataError(f"{folder.failure}: is damaged") from error
    if is_sealed != (failure.format > 1) or failure.run_id != folder.path.name:
        raise DataError(f"{folder.failure}: is damaged")
    return failure


def note_failure(
    folder: RunFolder, label: str, seed: int, *, kind: Kind, reason: str, exit_code: int, attempts: int
) -> None:
    """Write failure.json. A disk that refuses costs the note alone, since the command reports the failure as well."""
    failure = Failure(
        run_id=folder.path.name,
        label=label,
        seed=seed,
        kind=kind,
        reason=reason,
        exit_code=exit_code,
        attempts=attempts,
        when=utc_now(),
    )
    with contextlib.suppress(EnvironmentFault):
        make_folder(folder.path, inside=folder.path.parent)  # a results folder that was deleted is not made again
        write_bytes(folder.failure, seal_record(failure.model_dump_json(indent=1)))


def remove_failure(folder: RunFolder) -> None:
    """Remove failure.json, if the disk allows it."""
    with contextlib.suppress(EnvironmentFault):
        remove(folder.failure)
