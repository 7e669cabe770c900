"""Task of attacks on runs of one architecture, as the parent sends it to a worker. No torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cifar_lab.config import Settings
from cifar_lab.config.attack import AnyAttack, attack_from


@dataclass(frozen=True)
class AttackJob:
    """Runs that are attacked together: of one architecture, on the same images."""

    results: Path
    attacks: tuple[AnyAttack, ...]
    """One after the other."""
    run_ids: tuple[str, ...]
    settings: tuple[Settings, ...]
    """Of the runs, in their order."""
    device: str = "auto"
    threads: int = 1
    """CPU threads of torch."""
    force: bool = False
    """Whether to repeat attacks that have a record."""


def encode_attack(job: AttackJob) -> str:
    """Encode the request to make attacks as one line."""
    return json.dumps(
        {
            "attacks": [each.model_dump(mode="json") for each in job.attacks],
            "results": str(job.results),
            "run_ids": job.run_ids,
            "settings": [each.model_dump(mode="json") for each in job.settings],
            "device": job.device,
            "threads": job.threads,
            "force": job.force,
        }
    )


def decode_attack(line: str) -> AttackJob | None:
    """Decode a line of `encode_attack`. None for any other line."""
    values = json.loads(line)
    if "attacks" not in values:
        return None
    return AttackJob(
        Path(values["results"]),
        tuple(map(attack_from, values["attacks"])),
        tuple(values["run_ids"]),
        tuple(Settings.model_validate(each) for each in values["settings"]),
        values["device"],
        values["threads"],
        values["force"],
    )
