"""Requests from the parent to a worker, one JSON object per line. `training.events` has the answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cifar_lab.config import Data, Settings
from cifar_lab.training.job import Job

STOP = "stop"
"""Request to stop after the present epoch."""


def encode_job(job: Job) -> str:
    """Encode a job as one line."""
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
            "plan": job.plan,
            "resumable": job.resumable,
            "weights": job.weights,
        }
    )


def encode_task(cohorts: Sequence[Sequence[Job]], streams: int) -> str:
    """Encode a task: cohorts, and the number of them to train concurrently."""
    return json.dumps({"task": [[encode_job(job) for job in cohort] for cohort in cohorts], "lanes": streams})


def decode_task(line: str) -> tuple[list[list[Job]], int]:
    """Decode a line of `encode_task` to (cohorts, streams)."""
    values = json.loads(line)
    return [[decode_job(job) for job in cohort] for cohort in values["task"]], values["lanes"]


class ModelQuery(NamedTuple):
    """A model to build, and to train for a few steps if the number of training images is given."""

    settings: Settings
    num_classes: int
    train_size: int | None


def encode_check(query: ModelQuery) -> str:
    """Encode the query whether a model builds and trains."""
    settings, num_classes, train_size = query
    return json.dumps({"check": settings.model_dump(mode="json"), "num_classes": num_classes, "train_size": train_size})


def decode_check(line: str) -> ModelQuery | None:
    """Decode a line of `encode_check`. None for any other line."""
    values = json.loads(line)
    if "check" not in values:
        return None
    return ModelQuery(Settings.model_validate(values["check"]), values["num_classes"], values["train_size"])


def encode_prepare(data: Data) -> str:
    """Encode the request to prepare the images of `data`."""
    return json.dumps({"prepare": data.model_dump(mode="json")})


def decode_prepare(line: str) -> Data | None:
    """Decode a line of `encode_prepare`. None for any other line."""
    values = json.loads(line)
    return Settings.model_validate({"data": values["prepare"]}).data if "prepare" in values else None


GPU_QUERY = json.dumps({"gpus": None})
"""Query for the number of GPUs that torch sees."""


def is_gpu_query(line: str) -> bool:
    """Whether the line is `GPU_QUERY`."""
    return line.strip() == GPU_QUERY


def encode_devices(devices: str) -> str:
    """Encode the value of `CUDA_VISIBLE_DEVICES` for a worker that was started before its task was known."""
    return json.dumps({"devices": devices})


def decode_devices(line: str) -> str | None:
    """Decode a line of `encode_devices`. None for any other line."""
    devices: str | None = json.loads(line).get("devices")
    return devices


def decode_job(line: str) -> Job:
    """Decode a line of `encode_job`."""
    values: dict[str, Any] = json.loads(line)
    settings = Settings.model_validate(values.pop("settings"))
    return Job(settings=settings, **{**values, "results": Path(values["results"])})
