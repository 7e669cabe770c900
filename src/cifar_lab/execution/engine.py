"""The choice of where runs are made: this machine, or a Ray cluster. The one place that knows every engine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

from cifar_lab.config import Settings
from cifar_lab.core.errors import SettingsError
from cifar_lab.core.host import available_cores, has_gpu
from cifar_lab.execution.local import engine as here
from cifar_lab.execution.local.worker_queries import count_gpus
from cifar_lab.execution.outcomes import OnEvent, Outcome
from cifar_lab.execution.retry_policy import Policy
from cifar_lab.execution.tasks import Task

EngineName = Literal["here", "ray"]


class Engine(Protocol):
    """Who makes runs."""

    @property
    def on_this_machine(self) -> bool:
        """Whether its runs share the cores of this machine."""

    def check_devices(self, arms: Sequence[Settings]) -> None:
        """Refuse a GPU, or kernels of our own, that are insisted on and are not there, before anything starts.

        Raises:
            SettingsError: there are none.
        """

    def open(self) -> None:
        """Be ready for runs, or refuse, before anything on the disk changes.

        Raises:
            EnvironmentFault: they cannot be made there.
        """

    def gpus(self) -> int:
        """GPUs that runs can have."""

    def execute(self, tasks: Sequence[Task], slots: int | None, on_event: OnEvent, policy: Policy) -> list[Outcome]:
        """As `here.execute`; `slots` None is as many as there is room for."""


class LocalEngine:
    """Processes on this machine."""

    on_this_machine = True

    def check_devices(self, arms: Sequence[Settings]) -> None:
        """As `Engine`: torch must see a GPU, and the C compiler make kernels."""
        if any(settings.runtime.device == "cuda" for settings in arms):
            from cifar_lab.training.device import choose_device

            choose_device("cuda")
        if any(settings.runtime.kernels == "own" for settings in arms):
            from cifar_lab.training.backends.kernels.compiler import KernelsUnavailable, library

            try:
                library()
            except KernelsUnavailable as error:
                raise error.as_settings_error() from error

    def open(self) -> None:
        """As `Engine`: this machine is ready."""

    def gpus(self) -> int:
        """Those that torch sees."""
        return count_gpus() if has_gpu() else 0

    def execute(self, tasks: Sequence[Task], slots: int | None, on_event: OnEvent, policy: Policy) -> list[Outcome]:
        """As `Engine`; a process a core where nobody says how many."""
        return here.execute(tasks, slots or available_cores(), on_event, policy)


@contextlib.contextmanager
def open_engine(name: EngineName, address: str | None = None) -> Iterator[Engine]:
    """The engine of that name; what it connects to is left at the end.

    Raises:
        SettingsError: an address for an engine that has none.
    """
    if name == "here":
        if address is not None:
            raise SettingsError("--address: is that of a Ray cluster; add --engine ray")
        yield LocalEngine()
        return
    from cifar_lab.execution.ray.engine import RayEngine

    engine = RayEngine(address)
    try:
        yield engine
    finally:
        engine.close()
