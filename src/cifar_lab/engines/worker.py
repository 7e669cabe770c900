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
from typing import Any

from cifar_lab.config import Settings
from cifar_lab.engines.protocol import STOP, decode_check, decode_job
from cifar_lab.errors import Interrupted, LabError


def main() -> None:
    """Take jobs until standard input ends."""
    # A signal to every process of a service or a terminal is for the parent to act on.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    events = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def tell(event: dict[str, Any]) -> None:
        try:
            print(json.dumps(event), file=events, flush=True)
        except BrokenPipeError:
            os._exit(1)

    jobs: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    stopping = threading.Event()
    threading.Thread(target=_listen, args=(jobs, stopping), daemon=True).start()
    while (line := jobs.get()) is not None:
        tell(_make(line, tell, stopping))


def _make(line: str, tell: Any, stopping: threading.Event) -> dict[str, Any]:
    """Make one run; the event that ends it."""
    try:
        if (check := decode_check(line)) is not None:
            return _check_model(*check)
        from cifar_lab.experiment import make_run

        record = make_run(decode_job(line), tell, stopping.is_set)
    except Interrupted as error:
        return {"event": "interrupted", "reason": str(error)}
    except LabError as error:
        return {"event": "failed", "reason": str(error), "exit_code": error.exit_code}
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{last.filename}:{last.lineno}"
        reason = f"{type(error).__name__}: {' '.join(str(error).split())} ({where})"
        return {"event": "failed", "reason": reason, "exit_code": 1, "traceback": traceback.format_exc()}
    return {"event": "finished", "status": record.status, "reason": record.reason}


def _check_model(settings: Settings, num_classes: int) -> dict[str, Any]:
    """Build the model once, so that a wrong one is told before anything is written."""
    from cifar_lab.models import build

    build(settings.model, num_classes)
    return {"event": "finished", "status": "done", "reason": None}


def _listen(jobs: queue.SimpleQueue[str | None], stopping: threading.Event) -> None:
    """Read the parent's lines; its end, however it came, ends this process at once."""
    for line in sys.stdin:
        if line.strip() == STOP:
            stopping.set()
        else:
            jobs.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
