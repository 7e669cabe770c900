"""Live TensorBoard event files in `results/runs/<id>/tensorboard/`. View: `tensorboard --logdir results/runs`."""

from __future__ import annotations

import shutil
import time
from typing import Any

from cifar_lab.core.errors import DataError
from cifar_lab.store.results import RunFolder
from cifar_lab.training.events import EpochCompleted, RunOutcome
from cifar_lab.training.job import Job

FOLDER = "tensorboard"
"""Folder beside the record of a run."""

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


def is_of_others(event: RunOutcome) -> bool:
    """Whether another command has the rest of the run, and mirrors it."""
    return event.elsewhere or event.status == "held"


class TensorBoardMirror:
    """Mirror with one writer per active run."""

    name = "tensorboard"

    def __init__(self) -> None:
        self._writers: dict[str, Any] = {}

    def event(self, job: Job, event: EpochCompleted | RunOutcome) -> None:
        """Write the scalars of an epoch or the final ones. A run that restarts at epoch 1 replaces its old files."""
        if isinstance(event, EpochCompleted):
            self._write(job, event.epoch, epoch_scalars(event), anew=event.epoch == 1)
        else:
            epoch, scalars = final_scalars(job)
            if scalars and job.run_id in self._writers and not is_of_others(event):
                self._write(job, epoch, scalars)
            if (writer := self._writers.pop(job.run_id, None)) is not None:
                writer.close()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _write(self, job: Job, step: int, scalars: dict[str, float], *, anew: bool = False) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        folder = RunFolder(job.results, job.run_id).path / FOLDER
        if job.run_id not in self._writers:
            if anew and folder.is_dir():
                shutil.rmtree(folder)
            self._writers[job.run_id] = EventFileWriter(str(folder))
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        writer = self._writers[job.run_id]
        writer.add_event(Event(step=step, wall_time=time.time(), summary=Summary(value=values)))
        writer.flush()
