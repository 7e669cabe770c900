"""What the parent and its workers say to each other: one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cifar_lab.config import Data, Settings
from cifar_lab.training.job import Job

TASK_DONE = "task done"
"""Event of a worker: every run of its task has been told to have ended."""

STOP = "stop"
"""Parent to worker: end after this epoch."""


def encode_job(job: Job) -> str:
    """`job` as one line."""
    return json.dumps(
        {
            "settings": job.settings.model_dump(mode="json"),
            "seed": job.seed,
            "run_id": job.run_id,
            "recipe": job.recipe,
            "fingerprint": job.fingerprint,
            "results": str(job.results),
            "read_test": job.read_test,
            "threads": job.threads,
            "until_epoch": job.until_epoch,
        }
    )


def encode_task(cohorts: Sequence[Sequence[Job]], lanes: int) -> str:
    """The line that hands cohorts to a worker, `lanes` of them to be made side by side."""
    return json.dumps({"task": [[encode_job(job) for job in cohort] for cohort in cohorts], "lanes": lanes})


def decode_task(line: str) -> tuple[list[list[Job]], int]:
    """(cohorts, lanes) of a line of `encode_task`."""
    values = json.loads(line)
    return [[decode_job(job) for job in cohort] for cohort in values["task"]], values["lanes"]


def encode_check(settings: Settings, num_classes: int) -> str:
    """The line that asks a worker whether the model of `settings` builds."""
    return json.dumps({"check": settings.model_dump(mode="json"), "num_classes": num_classes})


def decode_check(line: str) -> tuple[Settings, int] | None:
    """(settings, number of classes) of a line of `encode_check`; None for any other line."""
    values = json.loads(line)
    return (Settings.model_validate(values["check"]), values["num_classes"]) if "check" in values else None


def encode_prepare(data: Data) -> str:
    """The line that asks a worker to prepare the images of `data`."""
    return json.dumps({"prepare": data.model_dump(mode="json")})


def decode_prepare(line: str) -> Data | None:
    """The data section in a line of `encode_prepare`; None for any other line."""
    values = json.loads(line)
    return Settings.model_validate({"data": values["prepare"]}).data if "prepare" in values else None


GPU_QUESTION = json.dumps({"gpus": None})
"""The line that asks a worker how many GPUs torch sees."""


def is_gpu_question(line: str) -> bool:
    """Whether a line is `GPU_QUESTION`."""
    return line.strip() == GPU_QUESTION


def decode_job(line: str) -> Job:
    """The job in a line of `encode_job`."""
    values: dict[str, Any] = json.loads(line)
    settings = Settings.model_validate(values.pop("settings"))
    return Job(settings=settings, **{**values, "results": Path(values["results"])})
