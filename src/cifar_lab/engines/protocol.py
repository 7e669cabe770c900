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
            "results": str(job.results),
            "read_test": job.read_test,
            "force": job.force,
            "threads": job.threads,
        }
    )


def decode_job(line: str) -> Job:
    """The job in a line of `encode_job`."""
    values: dict[str, Any] = json.loads(line)
    settings = Settings.model_validate(values.pop("settings"))
    return Job(settings=settings, **{**values, "results": Path(values["results"])})
