"""What the parent, which imports no torch, asks a worker before it plans."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from cifar_lab.config import Data, Settings
from cifar_lab.core.errors import EnvironmentFault, LabError, SettingsError, WeightsError
from cifar_lab.data.splits import Progress
from cifar_lab.execution.local.process import WorkerProcess
from cifar_lab.execution.protocol import GPU_QUESTION, encode_check, encode_prepare


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
            _raise_failed(event)
    finally:
        worker.close()


def prepare_images(data: Data, progress: Progress) -> None:
    """Fill the cache with the images of `data` in a worker: they take more memory than this process is to have.

    Raises:
        DataError, EnvironmentFault: as `data.prepare`.
        LabError: the worker died.
    """
    worker = WorkerProcess(threads=1)
    try:
        worker.say(encode_prepare(data))
        for event in worker.events():
            if event["event"] == "preparing":
                progress(event["what"], event["done"], event["total"])
            else:
                _raise_failed(event)
                break
        else:
            raise LabError(f"{data.dataset}: its images cannot be prepared: {worker.cause_of_death()}")
        told = worker.last_words()
    finally:
        worker.close()
    for line in told:  # warnings: of a cache that was damaged and is made again
        print(line, file=sys.stderr, flush=True)


def _raise_failed(event: dict[str, Any]) -> None:
    """Do nothing where the worker could do what it was asked.

    Raises:
        LabError: with the exit code and the words of what kept it.
    """
    if event["event"] == "failed":
        kinds: tuple[type[LabError], ...] = (SettingsError, WeightsError, EnvironmentFault)
        kind = next((kind for kind in kinds if kind.exit_code == event["exit_code"]), LabError)
        raise kind(event["reason"])


def count_gpus() -> int:
    """GPUs that torch sees in a worker; 0 where it cannot be asked."""
    worker = WorkerProcess(threads=1)
    try:
        worker.say(GPU_QUESTION)
        event = next(worker.events(), None)
        return int(event["count"]) if event is not None else 0
    finally:
        worker.close()
