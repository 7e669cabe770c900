"""Settings and metrics of a run as files, read and checked against its record. No torch."""

from __future__ import annotations

import hashlib
import math
import shlex
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from cifar_lab.core.atomic_io import write_text
from cifar_lab.core.errors import DataError
from cifar_lab.core.files import NotRegularError, read_regular
from cifar_lab.store.records import EpochMetrics, Record
from cifar_lab.store.run_paths import RunPaths


class DamagedFileError(DataError):
    """A file beside a record whose content is not what was written."""

    def __init__(self, path: Path, fault: str) -> None:
        folder, results = path.parent, path.parents[2]
        command = [
            "cifar-lab",
            "run",
            (folder / "settings.yaml").as_posix(),
            "--results",
            results.as_posix(),
            "--force",
        ]
        super().__init__(f"{path}: {fault}; to retrain the run: {shlex.join(command)}")
        self.path, self.what = path, fault


class RunTexts(RunPaths):
    """The folder of one run, with settings.yaml and metrics.jsonl."""

    def read_metrics(self, record: Record | None = None) -> list[EpochMetrics]:
        """Metrics per epoch, oldest first. Empty before the end of the first epoch.

        Raises:
            DamagedFileError: the file is damaged, or not the one that `record` names.
        """
        wanted = record.metrics_sha256 if record is not None else None
        try:
            lines = self._read(self.metrics).splitlines()
            history = [EpochMetrics.model_validate_json(line) for line in lines]
        except FileNotFoundError as error:
            if wanted is None:
                return []
            raise DamagedFileError(self.metrics, "is missing") from error
        except (ValidationError, NotRegularError) as error:
            raise DamagedFileError(self.metrics, "is damaged") from error
        except OSError as error:
            raise DamagedFileError(self.metrics, f"cannot be read ({error.strerror})") from error
        if record is not None and wanted is not None:
            seconds = sum(line.seconds for line in history)
            same_time = math.isclose(seconds, record.train_seconds, rel_tol=1e-12)  # Python versions sum differently
            if metrics_digest(history) != wanted or not same_time:
                raise DamagedFileError(self.metrics, "is damaged (it differs from the record)")
        return history

    def read_settings(self, record: Record | None = None) -> bytes:
        """Text of settings.yaml.

        Raises:
            DamagedFileError: it cannot be read, or is not the one that `record` names.
        """
        wanted = record.settings_sha256 if record is not None else None
        try:
            content = self._read(self.settings)
        except OSError as error:
            raise DamagedFileError(self.settings, f"cannot be read ({error.strerror})") from error
        if wanted is not None and hashlib.sha256(content).hexdigest() != wanted:
            raise DamagedFileError(self.settings, "is damaged (its SHA-256 differs from the record)")
        return content

    def refuse_link(self) -> None:
        """Refuse a folder that is a symbolic link, since it leads out of the results.

        Raises:
            DataError: it is one.
        """
        if self.path.is_symlink():
            raise DataError(
                f"{self.path}: is a symbolic link, which is not followed; replace it with the folder itself"
            )

    def _read(self, path: Path) -> bytes:
        """Content of a file of this folder.

        Raises:
            DataError: the folder is a symbolic link.
            OSError: the file is missing, or no regular file.
        """
        self.refuse_link()
        return read_regular(path)

    def write_metrics(self, history: Sequence[EpochMetrics]) -> None:
        """Replace metrics.jsonl by the whole history, so that a resumed run never repeats a line."""
        write_text(self.metrics, "".join(line.model_dump_json() + "\n" for line in history))


def text_digest(text: str) -> str:
    """SHA-256 of a file that `write_text` writes, as 64 hex digits."""
    return hashlib.sha256(text.encode("utf-8", errors="surrogateescape")).hexdigest()


def metrics_digest(history: Sequence[EpochMetrics]) -> str:
    """SHA-256 over the epochs without their seconds, as 64 hex digits."""
    lines = "".join(line.model_dump_json(exclude={"seconds"}) + "\n" for line in history)
    return hashlib.sha256(lines.encode()).hexdigest()
