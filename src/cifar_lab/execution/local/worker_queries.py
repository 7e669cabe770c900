"""Queries that need torch or much memory, which the parent sends to a worker before it plans."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from itertools import takewhile

from cifar_lab.config import CustomModel, Data
from cifar_lab.config.model_source import source_files
from cifar_lab.config.own_code import own_code
from cifar_lab.core.errors import LabError, SettingsError, error_of
from cifar_lab.core.host import print_status
from cifar_lab.core.text import in_words, plain
from cifar_lab.data.splits import Progress
from cifar_lab.execution.local.model_output import DistinctLines
from cifar_lab.execution.local.process import WorkerProcess
from cifar_lab.execution.protocol import GPU_QUERY, ModelQuery, encode_check, encode_prepare
from cifar_lab.store.left_out import skip
from cifar_lab.training.events import DataProgress, Event, GpuCount, ModelBuilt, RunFailed, TrialProgress, WarningIssued

IMPORT_SECONDS = 600.0
"""Longest start of a trial, in which torch is imported. A cold disk of a cluster takes a minute."""

LEAST_TRIAL_SECONDS = 60.0
"""Time limit of the part of a trial whose duration is unknown: the network is made and evaluates two images."""

TRIAL_FACTOR = 10.0
"""Time limit of the rest, in multiples of the duration that follows from a first pass of a few images."""

TRACE = ("Current thread 0x", "Thread 0x", "Stack (most recent call first)")
"""Beginnings of the line before a position that faulthandler writes."""


def check_models(queries: Sequence[ModelQuery], limit: float | None = None) -> list[ModelBuilt]:
    """Build and try each model in a worker. Prints what they print, and the notes of the trial.

    `limit`: longest trial of a model in seconds. None follows from its cost.

    Raises:
        LabError: the first that does not build or train, with its exit code and message.
    """
    worker, built = WorkerProcess(threads=1), []
    said: list[str] = []
    try:
        for query in queries:
            built.append(_Trial(worker, query, limit).answer())
        said = worker.last_words()
    except LabError:
        said = worker.last_words() if not worker.errors.closed else []
        raise
    finally:
        worker.close()
        lines = DistinctLines()  # the trial makes the model several times
        for shown in filter(None, map(lines.new, takewhile(lambda line: not line.startswith(TRACE), said))):
            print_status(plain(shown))
    for note in dict.fromkeys(note for each in built for note in each.notes.splitlines()):
        print_status(f"note: {plain(note)}")
    return built


class _Trial:
    """Trial of one model in a worker, with a limit of time."""

    def __init__(self, worker: WorkerProcess, query: ModelQuery, limit: float | None) -> None:
        self._worker, self._query, self._limit = worker, query, limit
        self._timer: threading.Timer | None = None
        self._late: float | None = None
        self._location: str | None = None

    def answer(self) -> ModelBuilt:
        """Parameters of the model and notes.

        Raises:
            LabError: as `check_models`.
        """
        settings = self._query.settings
        key, name = next(iter(own_code(settings)), ("model.name", settings.model.name))
        self._begin(IMPORT_SECONDS)
        try:
            self._worker.say(encode_check(self._query))
            answer = next(self._answers(), None)
        finally:
            self._end()
        if self._late is not None:
            where = f"; it was at {self._location}" if self._location else ""
            raise SettingsError(
                f"{key}: {name}: its trial did not end within {in_words(self._late)}{where}; correct an endless "
                "loop, allow more time, as in --trial-timeout 10m, or omit the trial with --no-trial"
            )
        if answer is None and not isinstance(self._query.settings.model, CustomModel):
            raise LabError(f"model.name: {name} cannot be built: {self._worker.cause_of_death()}")
        if answer is None:
            raise SettingsError(
                f"{key}: {name}: its trial ended: {self._worker.cause_of_death()}; correct its code, or choose a "
                "smaller batch or model if memory is short"
            )
        _raise_failed(answer)
        assert isinstance(answer, ModelBuilt)
        return answer

    def _answers(self) -> Iterator[Event]:
        """Events of the worker. Each of its progress starts the limit anew, unless it was asked for."""
        is_begun = False
        for event in _answers(self._worker):
            if not isinstance(event, TrialProgress):
                yield event
            elif self._limit is None:
                self._begin(LEAST_TRIAL_SECONDS + TRIAL_FACTOR * event.seconds)
            elif not is_begun:
                is_begun = True
                self._begin(self._limit)

    def _begin(self, seconds: float) -> None:
        self._end()
        self._timer = threading.Timer(seconds, self._give_up, [seconds])
        self._timer.daemon = True
        self._timer.start()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            if self._timer is not threading.current_thread():
                self._timer.join()

    def _give_up(self, seconds: float) -> None:
        self._late = seconds
        with contextlib.suppress(LabError):
            files = [str(path) for _, name in own_code(self._query.settings) for path in source_files(name)]
            self._location = self._worker.stop_and_locate(files)
        self._worker.kill()


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
