"""Record of a run: the types of record.json and metrics.jsonl, and record.json with its checksum. No torch."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cifar_lab.core.atomic_io import write_bytes
from cifar_lab.core.checksums import BrokenSealError, seal_record, unseal_record
from cifar_lab.core.errors import DataError
from cifar_lab.core.files import read_document

SCHEMA = 2
"""Version of record.json. A record of a newer schema is refused by name.

1: as below without a checksum, `sizes` and `metrics_sha256`. 2: with a checksum (see `core.checksums`).
"""


class Plain(BaseModel):
    """Base of the record types: immutable, no unknown keys, every number finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SplitScore(Plain):
    """Scores of a trained model on one split, in evaluation mode."""

    accuracy: float
    """Fraction of images classified correctly, 0 to 1."""
    loss: float
    """Mean cross-entropy in nats, without label smoothing."""
    per_class: tuple[float, ...]
    """Accuracy per class, 0 to 1."""
    confusion: tuple[tuple[int, ...], ...]
    """confusion[true][predicted]: number of images."""


class EpochMetrics(Plain):
    """One line of metrics.jsonl. Training numbers are means over the epoch's steps, in training mode."""

    epoch: int
    """1 after the first pass."""
    lr: float
    """Learning rate of the epoch's last step."""
    train_loss: float | None
    """Null where it was not finite."""
    train_accuracy: float | None
    val_loss: float | None = None
    """Null without a validation split."""
    val_accuracy: float | None = None
    seconds: float
    """Wall time of the epoch, training and validation."""


class DataIdentity(Plain):
    """Identity of the images of a run."""

    name: str
    """Name of the data set (`data.dataset`)."""
    folder: str = ""
    """Name of an image folder or its zip file, without the suffix. Empty for other data sets."""
    fingerprint: str
    """SHA-256 over images, labels and class names of both splits, as 64 hex digits."""
    split_hash: str | None
    """SHA-256 over the indices of the validation split. Null without one."""
    classes: tuple[str, ...]
    train_size: int
    """Images trained on, without the validation split."""
    val_size: int
    test_size: int

    @property
    def title(self) -> str:
        """Name of an image folder, else of the data set."""
        return self.folder or self.name


class Environment(Plain):
    """Software and hardware that executed the run."""

    cifar_lab: str
    python: str
    torch: str
    torchvision: str
    numpy: str
    platform: str
    device: str
    """`cpu` or `cuda`."""
    device_name: str
    threads: int
    cohort: int = 1
    """Runs trained together in one process. 1 is a run alone."""
    stacked: bool = False
    """Whether the cohort trained as one stacked set of parameters, instead of one network after the other."""
    captured: bool = False
    """Whether steps were replays of a captured CUDA graph."""
    eager_reason: str | None = None
    """Reason why a GPU ran steps, or networks, one by one. Null where it did not, and on the CPU."""
    kernels: Literal["own", "torch"] = "torch"
    """Kernels of the steps: this lab's own, or torch's."""
    kernels_reason: str | None = None
    """Reason why torch's kernels ran on the CPU although the settings allowed the lab's own."""
    git_commit: str | None
    """Commit of the working folder, where it is a git checkout."""
    git_dirty: bool | None


class Record(Plain):
    """The outcome of one run."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, serialize_by_alias=True)

    schema_: int = Field(SCHEMA, alias="schema")
    run_id: str
    recipe: dict[str, Any]
    """The settings that can change the numbers, without the data set and the seed, defaults left out."""
    settings: dict[str, Any]
    """All settings, resolved."""
    label: str
    seed: int
    status: Literal["done", "diverged"]
    reason: str | None = None
    """Reason and step of divergence."""
    epochs_trained: int
    parameters: int
    """Number of trainable parameters."""
    val: SplitScore | None
    """The validation split after the last epoch. Null without one."""
    test: SplitScore | None
    """The test split, evaluated once after training. Null with the reason below."""
    test_reason: str | None = None
    """Reason for no test score: `search` (chosen by validation only), `diverged`, or a logit that was not finite."""
    train_seconds: float
    """Wall time of the training epochs, over all attempts."""
    started: str
    """UTC, ISO 8601."""
    finished: str
    data: DataIdentity
    environment: Environment
    files: dict[str, str] = {}
    """SHA-256 of the files beside the record, by name."""
    sizes: dict[str, int] = {}
    """Bytes of the same files, to notice a truncated file without reading it."""
    metrics_sha256: str | None = None
    """SHA-256 over the lines of metrics.jsonl without their seconds, so that a resumed run has the digest of an
    uninterrupted one. The seconds sum to `train_seconds`."""
    notes: tuple[str, ...] = ()
    """Deviations from the plan: resumed at an epoch, a damaged checkpoint set aside."""


NO_SUCH_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
"""Errors of the system for a missing file. Writing to its path reports the cause."""


class DamagedRecordError(DataError):
    """A record with a wrong checksum or content. It is set aside and the run made again."""


class CopiedRecordError(DamagedRecordError):
    """A record in a folder of another name: a copied run, which must not count twice."""

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
        FileNotFoundError: the file is missing.
        DataError: it is damaged, a copy of another run's, or of a newer version of cifar-lab. Names the file and the
            remedy.
    """
    try:
        content, is_sealed = unseal_record(read_document(path))
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
    """Schema stated by a record with unknown keys. 0 where it states none."""
    try:
        values = json.loads(read_document(path))
    except (OSError, ValueError, RecursionError):
        return 0
    schema = values.get("schema") if isinstance(values, dict) else None
    return schema if isinstance(schema, int) else 0


def _refuse_newer(path: Path, schema: int) -> None:
    if schema > SCHEMA:
        raise DataError(
            f"{path}: is of schema {schema}, this cifar-lab reads up to {SCHEMA}; install a newer cifar-lab"
        )
