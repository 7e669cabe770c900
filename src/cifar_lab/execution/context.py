"""Where a command finds its runs and makes them: what all of them have in common, whatever their settings. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cifar_lab.core.errors import SettingsError
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.display import Display, Silent
from cifar_lab.execution.engine import Engine, LocalEngine
from cifar_lab.execution.retry_policy import Policy


@dataclass(frozen=True)
class RunContext:
    """A results folder, and how the runs that are missing there are made."""

    results: Path
    """Made if it is missing."""
    force: bool = False
    """Discard what is there and train again."""
    workers: int | None = None
    """Processes side by side on the CPU, cohorts side by side on each GPU; None takes a process a core, or a few
    cohorts."""
    display: Display = field(default_factory=Silent)
    """Who is told how it goes."""
    policy: Policy = field(default_factory=Policy)
    """How often runs are tried, how long they may take, when all stop."""
    engine: Engine = field(default_factory=LocalEngine)
    """Where they are made."""
    images: DatasetCatalog = field(default_factory=DatasetCatalog)
    """What the command has found of its images so far; more is added."""

    def __post_init__(self) -> None:
        """Refuse a number of workers that makes nothing.

        Raises:
            SettingsError: fewer than one.
        """
        if self.workers is not None and self.workers < 1:
            raise SettingsError(f"workers: {self.workers} is below 1; leave it out for one a core")
