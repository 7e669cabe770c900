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
"""Field of an epoch's event → name; what is null is left out."""


def epoch_scalars(event: EpochCompleted) -> dict[str, float]:
    """Of an `epoch` event."""
    return {name: float(value) for key, name in EPOCH_NAMES.items() if (value := getattr(event, key)) is not None}


def final_scalars(job: Job) -> tuple[int, dict[str, float]]:
    """(last epoch, numbers after training) of a run that has ended; (0, nothing) where it has no record."""
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
