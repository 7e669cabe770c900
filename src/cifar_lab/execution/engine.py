"""Interface of an engine, which makes runs, and the choice between this machine and a Ray cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

from cifar_lab.config import Settings
from cifar_lab.core.errors import SettingsError
from cifar_lab.execution.retry_policy import Policy
from cifar_lab.execution.tasks import Task
from cifar_lab.execution.tracker import OnEvent, Outcome

EngineName = Literal["here", "ray"]


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
        """Get ready for runs, or fail before anything on the disk changes.

        Raises:
            EnvironmentFault: the engine is not available.
        """

    def gpus(self) -> int:
        """Number of GPUs for runs."""

    def execute(self, tasks: Sequence[Task], slots: int | None, on_event: OnEvent, policy: Policy) -> list[Outcome]:
        """Make the runs of every task as `local.engine.execute`. `slots` None means as many as possible."""


@contextlib.contextmanager
def open_engine(name: EngineName, address: str | None = None) -> Iterator[Engine]:
    """Context manager of the engine of that name. Its connection ends with the context.

    Raises:
        SettingsError: an address for the local engine.
    """
    if name == "here":
        if address is not None:
            raise SettingsError("--address: is that of a Ray cluster; add --engine ray")
        from cifar_lab.execution.local.engine import LocalEngine

        yield LocalEngine()
        return
    from cifar_lab.execution.ray.engine import RayEngine

    engine = RayEngine(address)
    try:
        yield engine
    finally:
        engine.close()
