"""Context of a command: its results folder, and the display, policy and engine for missing runs. No torch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from cifar_lab.core.errors import SettingsError
from cifar_lab.core.extras import require_extra
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.tracker import Policy
from cifar_lab.execution.trials import ModelTrials

if TYPE_CHECKING:
    from cifar_lab.config import Settings
    from cifar_lab.execution.local.early_worker import EarlyWorker
    from cifar_lab.execution.plan import PlannedRun
    from cifar_lab.execution.tasks import Task
    from cifar_lab.execution.tracker import OnEvent, Outcome
    from cifar_lab.training.events import Event
    from cifar_lab.training.job import Job

EngineName = Literal["here", "ray"]


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


class Engine(Protocol):
    """Interface of an engine."""

    @property
    def on_this_machine(self) -> bool:
        """Whether its runs share the cores of this machine."""

    def check_devices(self, arms: Sequence[Settings]) -> None:
        """Refuse settings that insist on a missing GPU or on kernels that cannot be compiled, before any work.

        Raises:
            SettingsError: a device or the kernels are not available.
        """

    def open(self) -> None:
        """Get ready for runs, or refuse before anything on the disk changes.

        Raises:
            EnvironmentFault: the engine is not available.
        """

    def gpus(self) -> int:
        """Number of GPUs for runs."""

    def cores(self) -> int:
        """Number of cores that one run may use."""

    def keeping_workers(self) -> AbstractContextManager[None]:
        """Keep workers between calls of `execute` until the end of the context."""

    def execute(self, tasks: Sequence[Task], slots: int | None, on_event: OnEvent, policy: Policy) -> list[Outcome]:
        """Make the runs of every task as `local.engine.execute`. `slots` None means as many as possible."""


def local_engine(first: EarlyWorker | None = None) -> Engine:
    """The engine of this machine. Its processes and supervisors are imported with it."""
    from cifar_lab.execution.local.engine import LocalEngine

    return LocalEngine(first)


@contextlib.contextmanager
def open_engine(name: EngineName, address: str | None = None) -> Iterator[Engine]:
    """Context manager of the engine of that name. Its connection ends with the context.

    Args:
        address: of the cluster.

    Raises:
        SettingsError: an address for the local engine.
        MissingExtraError: Ray is not installed.
    """
    if name == "here":
        if address is not None:
            raise SettingsError("--address: needs a Ray cluster; add --engine ray")
        yield local_engine()
        return
    require_extra("ray", "--engine ray")
    from cifar_lab.execution.ray.engine import RayEngine

    engine = RayEngine(address)
    try:
        yield engine
    finally:
        engine.close()


@dataclass(frozen=True)
class RunContext:
    """Results folder, and the engine, limits and display for the runs that are missing there."""

    results: Path
    """Created if missing."""
    force: bool = False
    """Discard existing runs and train them again."""
    workers: int | None = None
    """Concurrent processes on the CPU, concurrent cohorts on each GPU. None means as many processes as the cores hold
    (`cores.share_cores`), or `GPU_STREAMS` cohorts."""
    display: Display = field(default_factory=Silent)
    policy: Policy = field(default_factory=Policy)
    engine: Engine = field(default_factory=local_engine)
    images: DatasetCatalog = field(default_factory=DatasetCatalog)
    """Data sets that the command has found so far. Stages add to it."""
    trials: ModelTrials = field(default_factory=ModelTrials)
    """Models that the command has tried so far."""
    plan: str | None = None
    """Document under which the runs are made, for their records (`Record.plan`)."""

    def __post_init__(self) -> None:
        """Validate the number of workers.

        Raises:
            SettingsError: it is below 1.
        """
        if self.workers is not None and self.workers < 1:
            raise SettingsError(f"workers: {self.workers} is below 1; omit it to use all cores")
