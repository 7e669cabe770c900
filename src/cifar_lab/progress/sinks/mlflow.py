"""MLflow database in an SQLite file, without a server. View: `mlflow ui --backend-store-uri sqlite:///FILE`."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cifar_lab.progress.sinks.tensorboard import epoch_scalars, final_scalars, is_of_others
from cifar_lab.store.locks import hold
from cifar_lab.training.events import EpochCompleted, RunOutcome
from cifar_lab.training.job import Job

EXPERIMENT = "cifar-lab"
RUN_ID_TAG = "cifar_lab.run_id"
CONNECT_SECONDS = 120.0
"""Longest wait for other commands that connect. A new database takes seconds."""
ENDINGS = {
    "done": "FINISHED", "diverged": "FAILED", "failed": "FAILED", "interrupted": "KILLED", "paused": "KILLED"
}  # fmt: skip
"""MLflow's status by status of a run."""


class MlflowMirror:
    """Mirror with an MLflow run per run, in the experiment `cifar-lab`."""

    def __init__(self, file: Path) -> None:
        self.name = "mlflow"
        self._file = file
        self._client: Any = None
        self._experiment = ""
        self._runs: dict[str, str] = {}
        """MLflow's run id by run id."""

    def event(self, job: Job, event: EpochCompleted | RunOutcome) -> None:
        """Write an epoch's numbers, or the last ones and how the run ended."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of MLflow's own libraries
            if isinstance(event, EpochCompleted):
                self._log(job, event.epoch, epoch_scalars(event), anew=event.epoch == 1)
            elif job.run_id in self._runs:
                self._end(job, event)

    def close(self) -> None:
        """Do nothing: every metric is written at once."""

    def _end(self, job: Job, event: RunOutcome) -> None:
        if is_of_others(event):
            del self._runs[job.run_id]
            return
        epoch, scalars = final_scalars(job)
        if scalars:
            self._log(job, epoch, scalars)
        run = self._runs.pop(job.run_id)
        if event.reason:
            self._client.set_tag(run, "reason", event.reason[:500])
        self._client.set_terminated(run, ENDINGS[event.status])

    def _log(self, job: Job, step: int, scalars: Mapping[str, float], *, anew: bool = False) -> None:
        run = self._runs.get(job.run_id) or self._open(job, anew)
        for name, value in scalars.items():
            self._client.log_metric(run, name, value, step=step)

    def _open(self, job: Job, anew: bool) -> str:
        """Resume the MLflow run of an interrupted job, or create one."""
        if self._client is None:
            self._connect()
        tag = f"tags.`{RUN_ID_TAG}` = '{job.run_id}'"
        before = [] if anew else self._client.search_runs([self._experiment], tag, max_results=1)
        if before:
            run = before[0].info.run_id
            self._client.update_run(run, status="RUNNING")
        else:
            tags = {RUN_ID_TAG: job.run_id, "label": job.settings.label, "seed": str(job.seed)}
            run = self._client.create_run(self._experiment, run_name=job.name, tags=tags).info.run_id
            for key, value in flat_settings(job.settings.model_dump(mode="json")).items():
                self._client.log_param(run, key, value)
        self._runs[job.run_id] = run
        return str(run)

    def _connect(self) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        from mlflow import MlflowClient

        self._file.parent.mkdir(parents=True, exist_ok=True)
        # MLflow creates tables and experiment without a lock, and commands that begin together would collide.
        with hold(self._file.with_name(f".{self._file.name[:40]}.lock"), CONNECT_SECONDS):
            client = MlflowClient(tracking_uri=f"sqlite:///{self._file}")
            found = client.get_experiment_by_name(EXPERIMENT)
            self._experiment = found.experiment_id if found else client.create_experiment(EXPERIMENT)
        self._client = client


def flat_settings(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Settings as text by dotted key, without the seeds."""
    found: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= flat_settings(value, f"{prefix}{key}.")
        elif prefix or key != "seeds":
            found[prefix + key] = str(value)[:500]
    return found
