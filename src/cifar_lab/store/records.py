"""Record of a run: the types of record.json and metrics.jsonl. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from cifar_lab.store.ranges import Count, Digest, Finite, Loss, Positive, Rate, Seconds, Seed, Share, Values

SCHEMA = 5
"""Version of record.json. A record of a newer schema is refused by name.

1: as below without a checksum, `sizes` and `metrics_sha256`. 2: with a checksum (see `core.checksums`). 3: with
`settings_sha256`, `plan` and `environment.reduction`. 4: with `metrics` of the user. 5: with `environment.git_diff`,
`frozen_parameters`, or `data.channel_mean` and `data.channel_std`. A record has the lowest schema that knows its keys
(`schema_of`), so that earlier versions read as many records as they can.
"""

METRICS_SCHEMA = 4
"""Schema of a record with metrics of the user and without keys of later schemas."""

PLAIN_SCHEMA = 3
"""Schema of a record without keys of later schemas."""


RunFile = Annotated[str, Field(pattern=r"^(weights\.safetensors|predictions\.npz)$")]
"""Names in `files` and `sizes`. A record that names another file is damaged."""


class Plain(BaseModel):
    """Base of the record types: immutable, no unknown keys, every number finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Metrics = dict[str, Finite | None]


def _omit_empty(*names: str) -> Any:
    """Serializer that leaves out keys without a value, which no version before their schema knows."""

    def serialize(self: BaseModel, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        return {key: value for key, value in values.items() if value or key not in names}

    return model_serializer(mode="wrap")(serialize)


class SplitScore(Plain):
    """Scores of a trained model on one split, in evaluation mode."""

    accuracy: Share
    """Fraction of images classified correctly, 0 to 1."""
    loss: Loss
    """Mean cross-entropy in nats, without label smoothing."""
    per_class: tuple[Share, ...]
    """Accuracy per class, 0 to 1."""
    confusion: tuple[tuple[Count, ...], ...]
    """confusion[true][predicted]: number of images."""
    metrics: Metrics = {}
    """Metrics of the user by name, null where one was not finite. Absent without any."""

    _without_metrics = _omit_empty("metrics")

    @model_validator(mode="after")
    def _check_classes(self) -> Self:
        """Refuse lists that have not one entry per class.

        Raises:
            ValueError: of pydantic's convention.
        """
        classes = len(self.per_class)
        if len(self.confusion) != classes or any(len(row) != classes for row in self.confusion):
            raise ValueError("per_class and confusion have different sizes")
        return self


class EpochMetrics(Plain):
    """One line of metrics.jsonl. Training numbers are means over the epoch's steps, in training mode."""

    epoch: Positive
    """1 after the first pass."""
    lr: Rate
    """Learning rate of the epoch's last step."""
    train_loss: Finite | None
    """Of the loss that was trained. Null where it was not finite."""
    train_accuracy: Share | None
    val_loss: Loss | None = None
    """Null without a validation split."""
    val_accuracy: Share | None = None
    seconds: Seconds
    """Wall time of the epoch, training and validation."""
    metrics: Metrics = {}
    """Metrics of the user on the validation split, by name. Absent without any."""

    _without_metrics = _omit_empty("metrics")


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
    train_size: Count
    """Images trained on, without the validation split."""
    val_size: Count
    test_size: Count
    channel_mean: tuple[Share, Share, Share] | None = None
    """Mean of the training pixels per channel, from 0 to 1, where `data.normalize` is `channel`. Absent otherwise."""
    channel_std: tuple[Share, Share, Share] | None = None
    """Standard deviation of the same pixels."""

    _without_statistics = _omit_empty("channel_mean", "channel_std")

    @property
    def title(self) -> str:
        """Name of an image folder, else of the data set."""
        return self.folder or self.name


Reduction = Literal["batch", "threads", "device"]
"""Order of the sums over a batch: it depends on the batch alone, on the number of threads, or on the GPU."""


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
    threads: Positive
    cohort: Positive = 1
    """Runs trained together in one process. 1 is a run alone."""
    stacked: bool = Field(False, strict=True)
    """Whether the cohort trained as one stacked set of parameters, instead of one network after the other."""
    captured: bool = Field(False, strict=True)
    """Whether steps were replays of a captured CUDA graph."""
    eager_reason: str | None = None
    """Reason why a GPU ran steps, or networks, one by one. Null where it did not, and on the CPU."""
    kernels: Literal["own", "torch"] = "torch"
    """Kernels of the steps: this lab's own, or torch's."""
    kernels_reason: str | None = None
    """Reason why torch's kernels ran although the settings allowed the lab's own."""
    reduction: Reduction | None = None
    """Order of the sums over a batch. Null in records of versions before 0.2, whose own kernels added up by threads."""
    git_commit: str | None
    """Commit of the working folder, where it is a git checkout."""
    git_dirty: bool | None = Field(strict=True)
    git_diff: str | None = None
    """Changes of tracked files since this commit, cut at 16,384 bytes. Absent without any."""

    _without_diff = _omit_empty("git_diff")


def schema_of(
    scores: Iterable[SplitScore | None], data: DataIdentity, environment: Environment, frozen_parameters: int = 0
) -> int:
    """Lowest schema that knows the keys of a record with these parts."""
    if environment.git_diff or data.channel_mean or frozen_parameters:
        return SCHEMA
    return METRICS_SCHEMA if any(score.metrics for score in scores if score is not None) else PLAIN_SCHEMA


class Record(Plain):
    """The outcome of one run."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, serialize_by_alias=True)

    schema_: Positive = Field(PLAIN_SCHEMA, alias="schema")
    run_id: str
    recipe: Values
    """The settings that can change the numbers, without the data set and the seed, defaults left out."""
    settings: Values
    """All settings, resolved."""
    label: str
    seed: Seed
    status: Literal["done", "diverged"]
    reason: str | None = None
    """Reason and step of divergence."""
    epochs_trained: Count
    parameters: Count
    """Number of parameters that trained, at the end."""
    frozen_parameters: Count = 0
    """Number of parameters that `model.freeze` or `fine_tune` kept to the end. Absent where it is 0."""
    val: SplitScore | None
    """The validation split after the last epoch. Null without one."""
    test: SplitScore | None
    """The test split, evaluated once after training. Null with the reason below."""
    test_reason: str | None = None
    """Reason for no test score: `search` (chosen by validation only), `diverged`, or a logit that was not finite."""
    train_seconds: Seconds
    """Wall time of the training epochs, over all attempts."""
    started: str
    """UTC, ISO 8601."""
    finished: str
    data: DataIdentity
    environment: Environment
    files: dict[RunFile, Digest] = {}
    """SHA-256 of the files beside the record, by name."""
    sizes: dict[RunFile, Count] = {}
    """Bytes of the same files, to notice a truncated file without reading it."""
    settings_sha256: Digest | None = None
    """SHA-256 of settings.yaml."""
    metrics_sha256: Digest | None = None
    """SHA-256 over the lines of metrics.jsonl without their seconds, so that a resumed run has the digest of an
    uninterrupted one. The seconds sum to `train_seconds`."""
    notes: tuple[str, ...] = ()
    """Deviations from the plan: resumed at an epoch, a damaged checkpoint set aside."""
    plan: str | None = Field(None, pattern=r"^(sweeps/[^/]+/plan|stopping/[^/]+)\.json$")
    """Document of the results folder under which the run was made: the plan of a sweep, or of interim analyses."""

    _without_frozen = _omit_empty("frozen_parameters")

    def facts(self) -> dict[str, Any]:
        """Facts of the run by name, as a line of a list shows them."""
        return {
            "run_id": self.run_id,
            "label": self.label,
            "seed": self.seed,
            "status": self.status,
            "test_accuracy": self.test and self.test.accuracy,
            "validation_accuracy": self.val and self.val.accuracy,
            "epochs": self.epochs_trained,
            "train_seconds": self.train_seconds,
            "data": self.data.title,
            "finished": self.finished,
        }

    def _repr_html_(self) -> str:
        """Table of a notebook."""
        from cifar_lab.core.html_table import html_table  # here, because only notebooks draw a record

        return html_table(("", ""), self.facts().items())

    @model_validator(mode="after")
    def _check_settings(self) -> Self:
        """Refuse settings without the values that commands read from records. They may be empty.

        Raises:
            ValueError: of pydantic's convention.
        """
        data, model = self.settings.get("data"), self.settings.get("model")
        if not self.settings:
            return self
        if not isinstance(data, dict) or not isinstance(model, dict):
            raise ValueError("settings: no data and model")
        if type(data.get("batch_size")) is not int or data["batch_size"] < 1:
            raise ValueError("settings: no data.batch_size")
        if not isinstance(data.get("dataset"), str) or not isinstance(model.get("name"), str):
            raise ValueError("settings: no data.dataset and model.name")
        return self
