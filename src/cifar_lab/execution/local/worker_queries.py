"""Queries that need torch or much memory, which the parent sends to a worker before it plans."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from cifar_lab.config import Data
from cifar_lab.config.own_code import own_code
from cifar_lab.core.errors import LabError, SettingsError, error_of
from cifar_lab.core.host import print_status
from cifar_lab.core.text import plain
from cifar_lab.data.splits import Progress
from cifar_lab.execution.local.process import WorkerProcess
from cifar_lab.execution.protocol import GPU_QUERY, ModelQuery, encode_check, encode_prepare
from cifar_lab.store.left_out import skip
from cifar_lab.training.events import DataProgress, Event, GpuCount, ModelBuilt, RunFailed, WarningIssued

TRIAL_SECONDS = 600.0
"""Longest trial of one model."""


def check_models(queries: Sequence[ModelQuery]) -> list[ModelBuilt]:
    """Build and try each model in a worker. Prints what they print, and the notes of the trial.

    Raises:
        LabError: the first that does not build or train, with its exit code and message.
    """
    worker, built = WorkerProcess(threads=1), []
    said: list[str] = []
    try:
        for query in queries:
            built.append(_check_model(worker, query))
        said = worker.last_words()
    except LabError:
        said = worker.last_words() if not worker.errors.closed else []
        raise
    finally:
        worker.close()
        for line in dict.fromkeys(said):  # the trial makes the model several times
            print_status(plain(line))
    for note in dict.fromkeys(note for each in built for note in each.notes.splitlines()):
        print_status(f"note: {plain(note)}")
    return built


def _check_model(worker: WorkerProcess, query: ModelQuery) -> ModelBuilt:
    key, name = next(iter(own_code(query.settings)), ("model.name", query.settings.model.name))
    late = threading.Event()

    def give_up() -> None:
        late.set()
        worker.kill()

    timer = threading.Timer(TRIAL_SECONDS, give_up)
    timer.start()
    try:
        worker.say(encode_check(query))
        answer = next(_answers(worker), None)
    finally:
        timer.cancel()
    if late.is_set():
        raise SettingsError(
            f"{key}: {name}: its trial did not end within {TRIAL_SECONDS:.0f} s; correct an endless loop, or "
            "omit the trial with --no-trial"
        )
    if answer is None:
        raise LabError(f"{key}: {name} cannot be built: {worker.cause_of_death()}")
    _raise_failed(answer)
    assert isinstance(answer, ModelBuilt)
    return answer


def prepare_images(data: Data, progress: Progress) -> None:
    """Fill the cache with the images of `data` in a worker, which needs more memory than the parent should use.

    Raises:
        DataError, EnvironmentFault: as `data.prepare`.
        LabError: the worker died.
    """
    worker = WorkerProcess(threads=1)
    try:
        worker.say(encode_prepare(data))
        for event in _answers(worker):
            if isinstance(event, DataProgress):
                progress(event.what, event.done, event.total)
            else:
                _raise_failed(event)
                break
        else:
            raise LabError(f"{data.dataset}: its images cannot be prepared: {worker.cause_of_death()}")
        said = worker.last_words()
    finally:
        worker.close()
    for line in said:  # of a library that reads images
        print_status(plain(line))


def _answers(worker: WorkerProcess) -> Iterator[Event]:
    """Events of a worker, without its warnings, which are logged here."""
    for event, _ in worker.messages():
        if isinstance(event, WarningIssued):
            skip(event.text)
        else:
            yield event


def _raise_failed(event: Event) -> None:
    """Raise the error that the worker met, if any.

    Raises:
        LabError: with the exit code and message of the worker's error.
    """
    if isinstance(event, RunFailed):
        raise error_of(event.exit_code, event.reason)


def count_gpus() -> int:
    """Number of GPUs that torch sees in a worker. 0 if the worker dies."""
    worker = WorkerProcess(threads=1)
    try:
        worker.say(GPU_QUERY)
        answer = next(_answers(worker), None)
        return answer.count if isinstance(answer, GpuCount) else 0
    finally:
        worker.close()
