"""A worker process: `python -m cifar_lab.engines.worker` makes the runs that it is handed on standard input.

Its standard output carries events and nothing else (what a model prints goes to standard error). It ends when its
standard input does, so it never outlives its parent.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from cifar_lab.config import Settings
from cifar_lab.engines.protocol import STOP, TASK_DONE, decode_check, decode_task, is_gpu_question
from cifar_lab.errors import Interrupted, LabError, Paused
from cifar_lab.plan import Job
from cifar_lab.records import Record

Say = Callable[[dict[str, Any]], None]


def main() -> None:
    """Take tasks until standard input ends."""
    # A signal to every process of a service or a terminal is for the parent to act on.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
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
    stopping = threading.Event()
    threading.Thread(target=_listen, args=(tasks, stopping), daemon=True).start()
    while (line := tasks.get()) is not None:
        if (check := decode_check(line)) is not None:
            say(_check_model(*check))
        elif is_gpu_question(line):
            say(_count_gpus())
        else:
            _make(line, say, stopping)


def _make(line: str, say: Say, stopping: threading.Event) -> None:
    """Make the runs of one task and say how each ended."""

    def tell(job: Job, event: dict[str, Any]) -> None:
        say({**event, "run_id": job.run_id})

    def ended(job: Job, outcome: Record | Exception) -> None:
        tell(job, _ending(outcome))

    cohorts, lanes = decode_task(line)
    try:
        from cifar_lab.lanes import make_cohorts

        make_cohorts(cohorts, lanes, tell, stopping.is_set, ended)
    except Exception as error:
        for cohort in cohorts:
            for job in cohort:
                ended(job, error)
    say({"event": TASK_DONE})


def _ending(outcome: Record | Exception) -> dict[str, Any]:
    """The event that ends a run."""
    if isinstance(outcome, Record):
        return {"event": "finished", "status": outcome.status, "reason": outcome.reason}
    if isinstance(outcome, Paused):
        return {"event": "finished", "status": "paused", "reason": str(outcome)}
    if isinstance(outcome, Interrupted):
        return {"event": "interrupted", "reason": str(outcome)}
    if isinstance(outcome, LabError):
        return {"event": "failed", "reason": str(outcome), "exit_code": outcome.exit_code}
    last = traceback.extract_tb(outcome.__traceback__)[-1]
    reason = f"{type(outcome).__name__}: {' '.join(str(outcome).split())} ({last.filename}:{last.lineno})"
    full = "".join(traceback.format_exception(outcome))
    return {"event": "failed", "reason": reason, "exit_code": 1, "traceback": full}


def _check_model(settings: Settings, num_classes: int) -> dict[str, Any]:
    """Build the model once, so that a wrong one is told before anything is written."""
    try:
        from cifar_lab.models import build

        build(settings.model, num_classes)
    except Exception as error:
        return _ending(error)
    return {"event": "finished", "status": "done", "reason": None}


def _count_gpus() -> dict[str, Any]:
    from cifar_lab.runtime import gpu_count

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
