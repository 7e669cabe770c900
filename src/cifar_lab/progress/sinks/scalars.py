"""Scalars of an epoch and of a finished run, under the names that mirrors show."""

from __future__ import annotations

from cifar_lab.core.errors import DataError
from cifar_lab.store.results import RunFolder
from cifar_lab.training.events import EpochCompleted
from cifar_lab.training.job import Job

EPOCH_NAMES = {
    "train_loss": "train/loss",
    "train_accuracy": "train/accuracy",
    "val_loss": "val/loss",
    "val_accuracy": "val/accuracy",
    "lr": "lr",
    "seconds": "seconds",
}
"""Scalar name of each field of `EpochCompleted`. Fields that are None are left out."""


def epoch_scalars(event: EpochCompleted) -> dict[str, float]:
    """Scalars of an epoch."""
    return {name: float(value) for key, name in EPOCH_NAMES.items() if (value := getattr(event, key)) is not None}


def final_scalars(job: Job) -> tuple[int, dict[str, float]]:
    """(last epoch, scores after training) of a finished run. (0, {}) if it has no readable record."""
    try:
        record = RunFolder(job.results, job.run_id).read_record()
    except DataError:
        record = None
    if record is None:
        return 0, {}
    found: dict[str, float] = {}
    for split, score in (("test", record.test), ("final_val", record.val)):
        if score is not None:
            found |= {f"{split}/accuracy": score.accuracy, f"{split}/loss": score.loss}
    return record.epochs_trained, found
