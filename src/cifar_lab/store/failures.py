"""failure.json in a run's folder: the reason why the last attempt of the run failed.

Written when a run fails, and removed when it is started again or done. A folder with a valid record is done, whatever
other files it has.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from cifar_lab.core.atomic_io import make_folder, remove, write_text
from cifar_lab.core.errors import EnvironmentFault
from cifar_lab.core.files import read_document
from cifar_lab.core.host import utc_now
from cifar_lab.store.records import Plain

if TYPE_CHECKING:
    from cifar_lab.store.run_folder import RunFolder

Kind = Literal["killed", "oom", "timeout", "import", "settings", "data", "environment", "error"]
"""Kind of failure: process killed, out of memory, timeout, failed import, refused settings, data or environment (exit
codes 2, 3 and 4), any other exception."""


class Failure(Plain):
    """Content of failure.json."""

    format: Literal[1] = 1
    run_id: str
    label: str
    seed: int
    kind: Kind
    reason: str
    exit_code: int
    attempts: int
    """Processes that were started for the run."""
    when: str
    """UTC, ISO 8601."""


def read_failure(folder: RunFolder) -> Failure | None:
    """Reason why the run failed. None for no failure or an unreadable file, because no decision depends on it."""
    try:
        return Failure.model_validate_json(read_document(folder.failure))
    except (OSError, ValidationError):
        return None


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
        write_text(folder.failure, failure.model_dump_json(indent=1) + "\n")


def remove_failure(folder: RunFolder) -> None:
    """Remove failure.json, if the disk allows it."""
    with contextlib.suppress(EnvironmentFault):
        remove(folder.failure)
