"""What the parent, which imports no torch, asks a worker before it plans."""

from __future__ import annotations

from collections.abc import Sequence

from cifar_lab.config import Settings
from cifar_lab.engines.child import WorkerProcess
from cifar_lab.engines.protocol import GPU_QUESTION, encode_check
from cifar_lab.errors import EnvironmentFault, LabError, SettingsError, WeightsError


def check_models(arms: Sequence[tuple[Settings, int]]) -> None:
    """Build the model of each (settings, number of classes) in a worker.

    Raises:
        LabError: with the exit code and the words of the first that does not build.
    """
    worker = WorkerProcess(threads=1)
    try:
        for settings, num_classes in arms:
            worker.say(encode_check(settings, num_classes))
            event = next(worker.events(), None)
            if event is None:
                raise LabError(f"model.name: {settings.model.name} cannot be built: {worker.cause_of_death()}")
            if event["event"] == "failed":
                kinds: tuple[type[LabError], ...] = (SettingsError, WeightsError, EnvironmentFault)
                kind = next((kind for kind in kinds if kind.exit_code == event["exit_code"]), LabError)
                raise kind(event["reason"])
    finally:
        worker.close()


def count_gpus() -> int:
    """GPUs that torch sees in a worker; 0 where it cannot be asked."""
    worker = WorkerProcess(threads=1)
    try:
        worker.say(GPU_QUESTION)
        event = next(worker.events(), None)
        return int(event["count"]) if event is not None else 0
    finally:
        worker.close()
