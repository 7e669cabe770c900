"""What the parent and its workers say to each other: one JSON object a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cifar_lab.config import Settings
from cifar_lab.plan import Job

STOP = "stop"
"""Parent to worker: end after this epoch."""


def encode_job(job: Job) -> str:
    """The line that hands `job` to a worker."""
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
        }
    )


def encode_check(settings: Settings, num_classes: int) -> str:
    """The line that asks a worker whether the model of `settings` builds."""
    return json.dumps({"check": settings.model_dump(mode="json"), "num_classes": num_classes})


def decode_check(line: str) -> tuple[Settings, int] | None:
    """(settings, number of classes) of a line of `encode_check`; None for any other line."""
    values = json.loads(line)
    return (Settings.model_validate(values["check"]), values["num_classes"]) if "check" in values else None


def decode_job(line: str) -> Job:
    """The job in a line of `encode_job`."""
    values: dict[str, Any] = json.loads(line)
    settings = Settings.model_validate(values.pop("settings"))
    return Job(settings=settings, **{**values, "results": Path(values["results"])})
