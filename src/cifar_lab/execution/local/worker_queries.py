"""Queries that need torch or much memory, which the parent sends to a worker before it plans."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cifar_lab.config import Data, Settings
from cifar_lab.core.errors import EnvironmentFault, LabError, SettingsError, WeightsError
from cifar_lab.data.splits import Progress
from cifar_lab.execution.local.process import WorkerProcess
from cifar_lab.execution.protocol import GPU_QUERY, encode_check, encode_prepare
from cifar_lab.training.events import DataProgress, Event, GpuCount, Message, ModelBuilt, RunFailed


def check_models(arms: Sequence[tuple[Settings, int]]) -> list[int]:
    """Build the model of each (settings, number of classes) in a worker. Returns their trainable parameters.

    Raises:
        LabError: the first that does not build, with its exit code and message.
    """
    worker, parameters = WorkerProcess(threads=1), []
    try:
        for settings, num_classes in arms:
            worker.say(encode_check(settings, num_classes))
            answer: Message | None = next(worker.messages(), None)
            if answer is None:
                raise LabError(f"model.name: {settings.model.name} cannot be built: {worker.cause_of_death()}")
            _raise_failed(answer.event)
            assert isinstance(answer.event, ModelBuilt)
            parameters.append(answer.event.parameters)
    finally:
        worker.close()
    return parameters


def prepare_images(data: Data, progress: Progress) -> None:
    """Fill the cache with the images of `data` in a worker, which needs more memory than the parent should use.

    Raises:
        DataError, EnvironmentFault: as `data.prepare`.
        LabError: the worker died.
    """
    worker = WorkerProcess(threads=1)
    try:
        worker.say(encode_prepare(data))
        for event, _ in worker.messages():
            if isinstance(event, DataProgress):
                progress(event.what, event.done, event.total)
            else:
                _raise_failed(event)
                break
        else:
            raise LabError(f"{data.dataset}: its images cannot be prepared: {worker.cause_of_death()}")
        warnings = worker.last_words()
    finally:
        worker.close()
    for line in warnings:  # for example of a damaged cache that was rebuilt
        print(line, file=sys.stderr, flush=True)


def _raise_failed(event: Event) -> None:
    """Raise the error that the worker met, if any.

    Raises:
        LabError: with the exit code and message of the worker's error.
    """
    if isinstance(event, RunFailed):
        kinds: tuple[type[LabError], ...] = (SettingsError, WeightsError, EnvironmentFault)
        kind = next((kind for kind in kinds if kind.exit_code == event.exit_code), LabError)
        raise kind(event.reason)


def count_gpus() -> int:
    """Number of GPUs that torch sees in a worker. 0 if the worker dies."""
    worker = WorkerProcess(threads=1)
    try:
        worker.say(GPU_QUERY)
        answer = next(worker.messages(), None)
        return answer.event.count if answer is not None and isinstance(answer.event, GpuCount) else 0
    finally:
        worker.close()
