"""Context of a command: its results folder and the means to make missing runs, the same for all settings. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cifar_lab.core.errors import SettingsError
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.engine import Engine
from cifar_lab.execution.local.engine import LocalEngine
from cifar_lab.execution.plan import PlannedRun
from cifar_lab.execution.retry_policy import Policy
from cifar_lab.training.events import Event
from cifar_lab.training.job import Job


class Display(Protocol):
    """Receiver of a command's progress."""

    def preparing(self, what: str, done: int, total: int) -> None:
        """Show progress of preparing data. `total` is 0 if unknown."""

    def begin(self, planned: Sequence[PlannedRun]) -> None:
        """Show the plan."""

    def event(self, job: Job, event: Event) -> None:
        """Show an event of a run."""

    def end(self) -> None:
        """Finish. Nothing follows."""


class Silent:
    """Display that shows nothing."""

    def preparing(self, what: str, done: int, total: int) -> None: ...

    def begin(self, planned: Sequence[PlannedRun]) -> None: ...

    def event(self, job: Job, event: Event) -> None: ...

    def end(self) -> None: ...


@dataclass(frozen=True)
class RunContext:
    """Results folder, and the engine, limits and display for the runs that are missing there."""

    results: Path
    """Created if missing."""
    force: bool = False
    """Discard existing runs and train them again."""
    workers: int | None = None
    """Concurrent processes on the CPU, concurrent cohorts on each GPU. None means a process per core, or
    `GPU_STREAMS` cohorts."""
    display: Display = field(default_factory=Silent)
    policy: Policy = field(default_factory=Policy)
    engine: Engine = field(default_factory=LocalEngine)
    images: DatasetCatalog = field(default_factory=DatasetCatalog)
    """Data sets that the command has found so far. Stages add to it."""

    def __post_init__(self) -> None:
        """Validate the number of workers.

        Raises:
            SettingsError: it is below 1.
        """
        if self.workers is not None and self.workers < 1:
            raise SettingsError(f"workers: {self.workers} is below 1; leave it out for one a core")
