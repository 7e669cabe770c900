"""Job: a run to execute, with everything that a worker needs for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifar_lab.config import Settings


@dataclass(frozen=True)
class Job:
    """A run to execute."""

    settings: Settings
    seed: int
    run_id: str
    recipe: dict[str, Any]
    fingerprint: str
    """Fingerprint of the images in the run id. A run on other images is refused."""
    results: Path
    read_test: bool
    """Whether to read the test split after training. A search does not."""
    threads: int = 1
    until_epoch: int | None = None
    """Pause after this epoch, None trains to the end. The schedule is always that of the whole run."""
    resumable: bool = True
    """Whether a checkpoint keeps all state of the model. If not, an interrupted run starts again from epoch 1."""
    plan: str | None = None
    """Document under which the run is made, for its record (`Record.plan`)."""

    weights: str | None = None
    """Weights file of the run that `model.weights: run:ID` names."""

    @property
    def build_settings(self) -> Settings:
        """Settings to build the network with: those of the run, and the file of the run that its weights name."""
        if self.weights is None:
            return self.settings
        model = self.settings.model.model_copy(update={"weights": self.weights})
        return self.settings.model_copy(update={"model": model})

    @property
    def name(self) -> str:
        """Display name of the run."""
        return f"{self.settings.label} · seed {self.seed}"

    @property
    def last_epoch(self) -> int:
        """Epoch at which the job stops."""
        return min(self.until_epoch or self.settings.epochs, self.settings.epochs)
