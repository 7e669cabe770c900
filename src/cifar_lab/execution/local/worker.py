"""Worker process: `python -m cifar_lab.execution.local.worker PARENT` makes the runs it reads on standard input.

Its standard output carries events and nothing else (what a model prints goes to standard error). It ends when its
standard input does, or with its parent's process id, so it never outlives its parent. SIGTERM is a wish to end after
the epoch; where its main thread is then is written to standard error.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from cifar_lab.config import Data, Settings
from cifar_lab.execution.failure_classification import ending_event
from cifar_lab.execution.local.lifeline import offer_to_the_oom_killer, tie_to_parent
from cifar_lab.execution.protocol import STOP, TASK_DONE, decode_check, decode_prepare, decode_task, is_gpu_question
from cifar_lab.store.records import Record
from cifar_lab.training.job import Job

Say = Callable[[dict[str, Any]], None]

PROGRESS_SECONDS = 0.05
"""Between two words on the same part of preparing images."""


def main() -> None:
    """Take tasks until standard input ends."""
    tie_to_parent(int(sys.argv[1]))
    offer_to_the_oom_killer()
    stopping = threading.Event()
    # A signal to every process of a service or a terminal is for the parent to act on.
    for signum in (signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda signum, frame: stopping.set())
    faulthandler.register(signal.SIGTERM, all_threads=False, chain=True)
    events = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    speaking = threading.Lock()

    def say(event: dict[str, Any]) -> None:
        try:
            with speaking:
                print(json.dumps(event), file=events, flush=True)
        except BrokenPipeError:
            os._exit(1)

    tasks: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks, stopping), daemon=True).start()
    while (line := tasks.get()) is not None:
        if (check := decode_check(line)) is not None:
            say(_check_model(*check))
        elif (data := decode_prepare(line)) is not None:
            say(_prepare(data, say))
        elif is_gpu_question(line):
            say(_count_gpus())
        else:
            _make(line, say, stopping)


def _make(line: str, say: Say, stopping: threading.Event) -> None:
    """Make the runs of one task and say how each ended."""

    def tell(job: Job, event: dict[str, Any]) -> None:
        say({**event, "run_id": job.run_id})

    def ended(job: Job, outcome: Record | Exception) -> None:
        tell(job, ending_event(outcome, job))

    cohorts, lanes = decode_task(line)
    try:
        _import_training()
        from cifar_lab.training.concurrent import run_cohorts

        run_cohorts(cohorts, lanes, tell, stopping.is_set, ended)
    except Exception as error:
        for cohort in cohorts:
            for job in cohort:
                ended(job, error)
    say({"event": TASK_DONE})


def _import_training() -> None:
    """Import torch and what trains with it: all of it stays, so that nothing is to be gained by looking for garbage
    among it, then or later."""
    if "torch" not in sys.modules:
        gc.disable()
        try:
            import cifar_lab.training.concurrent  # noqa: F401
        finally:
            gc.freeze()
            gc.enable()


def _check_model(settings: Settings, num_classes: int) -> dict[str, Any]:
    """Build the model once, so that a wrong one is told before anything is written."""
    try:
        from cifar_lab.models import build

        build(settings.model, num_classes)
    except Exception as error:
        return ending_event(error)
    return {"event": "finished", "status": "done", "reason": None}


def _prepare(data: Data, say: Say) -> dict[str, Any]:
    """Fill the cache with images, which takes more memory than the parent is to have."""
    last = ("", 0.0)

    def progress(what: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if what != last[0] or now - last[1] >= PROGRESS_SECONDS or (total and done >= total):
            last = what, now
            say({"event": "preparing", "what": what, "done": done, "total": total})

    try:
        from cifar_lab.data import prepare

        prepare(data, progress)
    except Exception as error:
        return ending_event(error)
    return {"event": "finished", "status": "done", "reason": None}


def _count_gpus() -> dict[str, Any]:
    from cifar_lab.training.device import gpu_count

    return {"event": "gpus", "count": gpu_count()}


def _listen(tasks: queue.SimpleQueue[str | None], stopping: threading.Event) -> None:
    """Read the parent's lines; its end, however it came, ends this process at once."""
    for line in sys.stdin:
        if line.strip() == STOP:
            stopping.set()
        else:
            tasks.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
