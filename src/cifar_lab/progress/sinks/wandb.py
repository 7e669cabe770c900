"""Weights & Biases runs in offline mode: files in `wandb/` of the results folder. Send: `wandb sync FOLDER`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cifar_lab.progress.sinks.mlflow import ENDINGS, flat_settings
from cifar_lab.progress.sinks.tensorboard import epoch_scalars, final_scalars, is_of_others
from cifar_lab.training.events import EpochCompleted, RunOutcome
from cifar_lab.training.job import Job

PROJECT = "cifar-lab"

FOLDER = "wandb"
"""Folder that the package creates below the one that it is given."""

QUIET: Mapping[str, object] = {
    "silent": True, "console": "off", "disable_git": True, "disable_code": True, "x_disable_stats": True,
    "x_disable_meta": True,
}  # fmt: skip
"""Settings of the package: nothing is printed, and nothing but the curves and the settings is copied."""


class WandbMirror:
    """Mirror with an offline run per run, in the project `cifar-lab`. The label is its group."""

    name = "wandb"

    def __init__(self, folder: Path) -> None:
        """`folder`: the results folder."""
        self._folder = folder
        self._runs: dict[str, Any] = {}

    def event(self, job: Job, event: EpochCompleted | RunOutcome) -> None:
        """Write the numbers of an epoch, or the last ones and the outcome."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own libraries
            if isinstance(event, EpochCompleted):
                run = self._runs.get(job.run_id) or self._open(job)
                run.log(epoch_scalars(event), step=event.epoch)
            elif job.run_id in self._runs:
                self._end(job, event)

    def close(self) -> None:
        for run in self._runs.values():
            run.finish(exit_code=1)
        self._runs.clear()

    def _end(self, job: Job, event: RunOutcome) -> None:
        run = self._runs.pop(job.run_id)
        if is_of_others(event):
            run.finish(exit_code=0)
            return
        _, scalars = final_scalars(job)
        run.summary.update({**scalars, "status": event.status, **({"reason": event.reason} if event.reason else {})})
        run.finish(exit_code=0 if ENDINGS.get(event.status) == "FINISHED" else 1)

    def _open(self, job: Job) -> Any:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        self._folder.mkdir(parents=True, exist_ok=True)
        known = {name: value for name, value in QUIET.items() if name in wandb.Settings.model_fields}
        self._runs[job.run_id] = wandb.init(
            project=PROJECT, group=job.settings.label, name=job.name, id=self._free_id(job.run_id), dir=self._folder,
            mode="offline", reinit="create_new", settings=wandb.Settings(**known),
            config={"run_id": job.run_id, "seed": job.seed, **flat_settings(job.settings.model_dump(mode="json"))},
        )  # fmt: skip
        return self._runs[job.run_id]

    def _free_id(self, run_id: str) -> str:
        """The run's id, with a number where an earlier command has mirrored a part of the run."""
        number = sum(1 for _ in (self._folder / FOLDER).glob(f"offline-run-*-{run_id}*"))
        return f"{run_id}-{number + 1}" if number else run_id
