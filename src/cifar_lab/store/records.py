"""What is written down of a run: the types of record.json and metrics.jsonl. No torch, no files."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA = 2
"""Version of record.json. A record of a newer schema is refused by name, never guessed at.

1: as below without a checksum, `sizes` and `metrics_sha256`. 2: sealed (see `seals`).
"""


class Plain(BaseModel):
    """Base of the record types: immutable, no unknown keys, every number finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SplitScore(Plain):
    """How a trained model did on one split, in evaluation mode."""

    accuracy: float
    """Share of the images classified right, 0 to 1."""
    loss: float
    """Mean cross-entropy in nats, without label smoothing."""
    per_class: tuple[float, ...]
    """Accuracy of the images of each class, 0 to 1."""
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
    """Which images a run saw."""

    name: str
    """Name of the data set (`data.dataset`)."""
    folder: str = ""
    """Name of an image folder or its zip file, without the suffix; empty for the other data sets."""
    fingerprint: str
    """SHA-256 over images, labels and class names of both splits, as 64 hex digits."""
    split_hash: str | None
    """SHA-256 over the indices of the validation split; null without one."""
    classes: tuple[str, ...]
    train_size: int
    """Images trained on, after the validation split was cut."""
    val_size: int
    test_size: int

    @property
    def title(self) -> str:
        """An image folder's own name, the data set's otherwise."""
        return self.folder or self.name


class Environment(Plain):
    """What the run was executed with."""

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
    """Runs that trained together in one process; 1 is a run alone."""
    stacked: bool = False
    """Whether they were one stacked set of parameters; otherwise one network after the other."""
    captured: bool = False
    """Whether steps were replays of a captured CUDA graph."""
    eager_reason: str | None = None
    """Why a GPU made its steps, or its networks, one by one; null where it did not, and on the CPU."""
    kernels: Literal["own", "torch"] = "torch"
    """What the steps were made of: kernels of this lab, or torch's."""
    kernels_reason: str | None = None
    """Why they were torch's on the CPU, where the settings left it open."""
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
    """Why a run diverged, and at which step."""
    epochs_trained: int
    parameters: int
    """Number of trainable parameters."""
    val: SplitScore | None
    """The validation split after the last epoch; null without one."""
    test: SplitScore | None
    """The test split, read once after training; null with the reason below."""
    test_reason: str | None = None
    """Why there is no test score: `search` (chosen by validation only), `diverged`, or that a logit was not finite."""
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
    """Bytes of the same files, by which a file that was cut is noticed without reading it."""
    metrics_sha256: str | None = None
    """SHA-256 over the lines of metrics.jsonl without their seconds, whose sum is `train_seconds`: the record of a run
    that was interrupted is that of one that was not."""
    notes: tuple[str, ...] = ()
    """What went otherwise than planned: resumed at an epoch, a damaged checkpoint set aside."""
