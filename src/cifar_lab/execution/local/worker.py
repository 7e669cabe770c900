"""Worker process: `python -m cifar_lab.execution.local.worker PARENT` makes the runs that it reads from standard input.

Standard output carries only events. Output of a model goes to standard error, and its lines to the parent. The process
exits at the end of its standard input or with its parent, so it never outlives the parent. SIGTERM requests a stop
after the epoch and writes the position of the main thread to standard error.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path

from cifar_lab.config import Data, Settings
from cifar_lab.core.atomic_io import make_folder
from cifar_lab.core.errors import EnvironmentFault
from cifar_lab.core.host import raise_open_files
from cifar_lab.data import read_ahead
from cifar_lab.execution.failure_classification import classify_end
from cifar_lab.execution.local.early_worker import IMPORT
from cifar_lab.execution.local.model_output import relayed_output
from cifar_lab.execution.local.training_import import TrainingImport
from cifar_lab.execution.protocol import (
    STOP,
    decode_check,
    decode_devices,
    decode_prepare,
    decode_task,
    is_gpu_query,
)
from cifar_lab.store.locks import HeldError
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder
from cifar_lab.training.attacks.job import AttackJob, decode_attack
from cifar_lab.training.events import (
    AttackProgress,
    DataProgress,
    Event,
    GpuCount,
    Message,
    ModelBuilt,
    RunEnd,
    RunFinished,
    TaskDone,
    TrialProgress,
    WarningIssued,
    encode_event,
)
from cifar_lab.training.job import Job
from cifar_lab.training.thread_guard import process_watch

Send = Callable[[Message], None]

PROGRESS_SECONDS = 0.05
"""Shortest interval between progress events of the same phase of preparing images."""

PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>: option of the signal to this process at the death of its parent."""

OOM_SCORE = 500
"""Added to /proc/self/oom_score_adj, at most 1000 (proc(5)), so that the kernel kills a worker before its parent."""


def main() -> None:
    """Process requests until standard input ends."""
    tie_to_parent(int(sys.argv[1]))
    offer_to_the_oom_killer()
    raise_open_files()
    training = TrainingImport()
    stopping, send = _handle_signals(), _open_events()
    logging.getLogger("cifar_lab").addHandler(_WarningEvents(send))
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, stopping), daemon=True).start()

    def tell(job: Job, event: Event) -> None:
        send(Message(event, job.run_id))

    def ended(job: Job, outcome: Record | Exception) -> None:
        tell(job, classify_end(outcome, job))

    while True:
        line = requests.get()
        if line.strip() == IMPORT:
            training.begin()
            continue
        process_watch()  # not before, because the parent's own work would count as that of other programs
        if (devices := decode_devices(line)) is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = devices
            continue
        if (answer := _answer(line, send, stopping)) is not None:
            send(Message(answer))
            continue
        cohorts, streams = decode_task(line)
        try:
            if cohorts := _import_training(training, cohorts, ended):
                from cifar_lab.training.concurrent import run_cohorts

                with relayed_output(cohorts[0][0], tell):
                    run_cohorts(cohorts, streams, tell, stopping.is_set, ended)
        except Exception as error:
            for job in chain.from_iterable(cohorts):
                ended(job, error)
        send(Message(TaskDone()))


def tie_to_parent(parent: int) -> None:
    """Die with the process `parent`, even during a call that does not read standard input. Linux only.

    The kernel sends the signal at the end of the thread that started this process, so that thread must live on.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel knew
        os._exit(1)


def offer_to_the_oom_killer(path: Path = Path("/proc/self/oom_score_adj")) -> None:
    """Make this process a preferred victim of the OOM killer, if the kernel permits."""
    try:
        path.write_text(str(min(1000, int(path.read_text()) + OOM_SCORE)))
    except (OSError, ValueError):
        return


def _handle_signals() -> threading.Event:
    """Install the handlers and return the event that SIGTERM sets."""
    stopping = threading.Event()
    # A signal to every process of a service, a job or a terminal is for the parent to act on.
    for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(signum, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda signum, frame: stopping.set())
    faulthandler.register(signal.SIGTERM, all_threads=False, chain=True)
    return stopping


def _open_events() -> Send:
    """Reserve standard output for events and send all other output to standard error."""
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    lock = threading.Lock()

    def send(message: Message) -> None:
        try:
            with lock:
                print(encode_event(message), file=output, flush=True)
        except BrokenPipeError:
            os._exit(1)

    return send


class _WarningEvents(logging.Handler):
    """Send each logged warning to the parent, whose user would not see standard error."""

    def __init__(self, send: Send) -> None:
        super().__init__(logging.WARNING)
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        self._send(Message(WarningIssued(record.getMessage())))


def _answer(line: str, send: Send, stopping: threading.Event) -> Event | None:
    """Answer of a query. None if the line is a task. A worker that imports ahead of its task gets no query."""
    if (attack := decode_attack(line)) is not None:
        return _attack(attack, send, stopping)
    if (check := decode_check(line)) is not None:
        return _check_model(*check, send)
    if (data := decode_prepare(line)) is not None:
        return _prepare(data, send)
    return _count_gpus() if is_gpu_query(line) else None


def _import_training(
    training: TrainingImport, cohorts: list[list[Job]], ended: Callable[[Job, Exception], None]
) -> list[list[Job]]:
    """Import torch and the training code, and read the images of the first run meanwhile.

    The first cohort is held until then, so that workers of other commands look for other runs before they import torch.
    Returns the cohorts without runs that others hold.
    """
    if training.is_done:
        return cohorts
    with contextlib.ExitStack() as locks:
        free = [job for job in cohorts[0] if not _is_held_now(job, locks, ended)]
        left = [cohort for cohort in (free, *cohorts[1:]) if cohort]
        if not left:
            return []
        training.begin()
        first = left[0][0]
        read_ahead(first.settings.data, first.fingerprint)
        training.wait()
    return left


def _is_held_now(job: Job, locks: contextlib.ExitStack, ended: Callable[[Job, Exception], None]) -> bool:
    """Hold a run until `locks` close. Whether another process holds it, which ends it here."""
    folder = RunFolder(job.results, job.run_id)
    try:
        make_folder(folder.path, inside=job.results)
        locks.enter_context(folder.lock(at_once=True))
    except HeldError as error:
        ended(job, error)
        return True
    except EnvironmentFault:
        pass  # training reports it
    return False


def _check_model(settings: Settings, num_classes: int, train_size: int | None, send: Send) -> ModelBuilt | RunEnd:
    """Build the model, and try training it, so that an error is reported before anything is written."""
    try:
        from cifar_lab.training.component_trial import try_arm
        from cifar_lab.training.trial import build_model

        send(Message(TrialProgress()))
        if train_size is None:
            return build_model(settings, num_classes)
        return try_arm(settings, num_classes, train_size, lambda seconds: send(Message(TrialProgress(seconds))))
    except Exception as error:
        return classify_end(error)


def _prepare(data: Data, send: Send) -> RunEnd:
    """Fill the cache with images and report the progress."""
    last = ("", 0.0)

    def progress(what: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if what != last[0] or now - last[1] >= PROGRESS_SECONDS or (total and done >= total):
            last = what, now
            send(Message(DataProgress(what, done, total)))

    try:
        from cifar_lab.data import prepare

        prepare(data, progress)
    except Exception as error:
        return classify_end(error)
    return RunFinished()


def _attack(job: AttackJob, send: Send, stopping: threading.Event) -> RunEnd:
    """Attack the networks of runs, which stay locked meanwhile, and report the progress."""
    try:
        with contextlib.ExitStack() as locks:
            for run_id in job.run_ids:
                locks.enter_context(RunFolder(job.results, run_id).lock(at_once=True))
            from cifar_lab.training.attacks.make_attacks import make_attacks

            make_attacks(job, lambda done, total: send(Message(AttackProgress(done, total))), stopping.is_set)
    except Exception as error:
        return classify_end(error)
    return RunFinished()


def _count_gpus() -> GpuCount:
    from cifar_lab.training.device import gpu_count

    return GpuCount(gpu_count())


def _listen(requests: queue.SimpleQueue[str], stopping: threading.Event) -> None:
    """Read the parent's lines. The end of the input, for whatever reason, ends this process at once."""
    for line in sys.stdin:
        if line.strip() == STOP:
            stopping.set()
        else:
            requests.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
