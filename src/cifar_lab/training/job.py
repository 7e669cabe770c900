"""A job: one run to make, with everything that a worker needs to make it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifar_lab.config import Settings


@dataclass(frozen=True)
class Job:
    """One run to make exist; everything that a worker needs to know."""

    settings: Settings
    seed: int
    run_id: str
    recipe: dict[str, Any]
    fingerprint: str
    """Of the images that the id names; a run on others is refused."""
    results: Path
    read_test: bool
    """Whether the test split is read after training; a search leaves it alone."""
    threads: int = 1
    until_epoch: int | None = None
    """Pause after this epoch, short of the run's end; None trains to the end. The schedule is the whole run's."""

    @property
    def name(self) -> str:
        """What a person calls the run."""
        return f"{self.settings.label} · seed {self.seed}"

    @property
    def last_epoch(self) -> int:
        """Epochs that are asked for."""
        return min(self.until_epoch or self.settings.epochs, self.settings.epochs)
