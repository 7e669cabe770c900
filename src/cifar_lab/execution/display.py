"""Interface of a display: what a command shows while runs are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from cifar_lab.execution.plan import PlannedRun
from cifar_lab.training.job import Job


class Display(Protocol):
    """Who is told how making runs goes."""

    def preparing(self, what: str, done: int, total: int) -> None:
        """Data is being prepared; `total` is 0 where it is not known."""

    def begin(self, planned: Sequence[PlannedRun]) -> None:
        """This is the plan."""

    def event(self, job: Job, event: dict[str, Any]) -> None:
        """Something happened to a run."""

    def end(self) -> None:
        """Nothing more will come."""


class Silent:
    """Shows nothing."""

    def preparing(self, what: str, done: int, total: int) -> None: ...

    def begin(self, planned: Sequence[PlannedRun]) -> None: ...

    def event(self, job: Job, event: dict[str, Any]) -> None: ...

    def end(self) -> None: ...
