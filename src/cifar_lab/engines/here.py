"""Runs on this machine: worker processes that each make one run after another. The parent never imports torch."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any, Literal

from cifar_lab.engines.protocol import STOP, encode_job
from cifar_lab.engines.signals import StopRequests
from cifar_lab.errors import Interrupted
from cifar_lab.plan import Job

MAX_ATTEMPTS = 2
"""A run whose process died is tried once more, in a fresh process, from its last epoch."""


@dataclass(frozen=True)
class Outcome:
    """How one job ended."""

    job: Job
    status: Literal["done", "diverged", "failed", "interrupted"]
    reason: str | None = None
    exit_code: int = 0
    traceback: str | None = None


OnEvent = Callable[[Job, dict[str, Any]], None]


def execute(jobs: Sequence[Job], slots: int, on_event: OnEvent) -> list[Outcome]:
    """Make every job's run exist, `slots` at a time; outcomes in the order of `jobs`.

    `on_event` hears each worker's events, one call at a time. SIGINT or SIGTERM once: no new run is begun, the runs
    under way end after their epoch; twice: they are ended at once. Both leave what is needed to go on.

    Raises:
        Interrupted: a signal ended it; carries the exit code, and the outcomes so far are told by events.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(len(jobs)):
        waiting.put(number)
    outcomes: dict[int, Outcome] = {}
    lock = threading.Lock()

    def tell(job: Job, event: dict[str, Any]) -> None:
        with lock:
            on_event(job, event)

    with StopRequests() as requests:
        slot_objects = [_Slot(jobs, waiting, outcomes, tell, requests) for _ in range(min(slots, len(jobs)))]
        requests.on_stop(lambda: [slot.stop() for slot in slot_objects])
        requests.on_kill(lambda: [slot.kill() for slot in slot_objects])
        threads = [threading.Thread(target=slot.work, daemon=True) for slot in slot_objects]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(timeout=0.1)
                    requests.enforce_deadline()
        finally:
            for slot in slot_objects:
                slot.kill()
        if requests.signum is not None and len([o for o in outcomes.values() if o.status != "interrupted"]) < len(jobs):
            raise Interrupted(f"stopped; {_progress(outcomes, len(jobs))}", requests.signum)
    return [outcomes[number] for number in range(len(jobs))]


def _progress(outcomes: dict[int, Outcome], total: int) -> str:
    ended = sum(outcome.status != "interrupted" for outcome in outcomes.values())
    return f"{ended} of {total} runs are there, the others keep their last epoch; give the same command to go on"


class _Slot:
    """One place for a worker; takes jobs from the queue until there are none."""

    def __init__(
        self,
        jobs: Sequence[Job],
        waiting: queue.SimpleQueue[int],
        outcomes: dict[int, Outcome],
        tell: OnEvent,
        requests: StopRequests,
    ) -> None:
        self.jobs, self.waiting, self.outcomes, self.tell, self.requests = jobs, waiting, outcomes, tell, requests
        self.worker: _Worker | None = None

    def work(self) -> None:
        """Make runs until the queue is empty or a stop is asked for."""
        while not self.requests.stopping:
            try:
                number = self.waiting.get_nowait()
            except queue.Empty:
                break
            self.outcomes[number] = outcome = self._make(self.jobs[number])
            self.tell(outcome.job, {"event": "outcome", "status": outcome.status, "reason": outcome.reason})
        if self.worker is not None:
            self.worker.close()

    def _make(self, job: Job) -> Outcome:
        for _ in range(MAX_ATTEMPTS):
            if self.worker is None:
                self.worker = _Worker(job.threads)
            self.tell(job, {"event": "started"})
            last = self.worker.make(job, lambda event: self.tell(job, event))
            if last is not None:
                return _outcome(job, last)
            reason = self.worker.cause_of_death()
            self.worker = None
            if self.requests.stopping:
                return Outcome(job, "interrupted", reason)
        return Outcome(job, "failed", reason, exit_code=1)

    def stop(self) -> None:
        """Ask the worker to end after its epoch."""
        if (worker := self.worker) is not None:
            worker.say(STOP)

    def kill(self) -> None:
        """End the worker now."""
        if (worker := self.worker) is not None:
            worker.process.kill()


class _Worker:
    """A child process and the pipes to it."""

    def __init__(self, threads: int) -> None:
        # Set before torch is imported: later is too late for OpenMP's pool and its waiting policy.
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115
        # Its own session: Ctrl-C reaches the parent alone, which then decides.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cifar_lab.engines.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment,
            encoding="utf-8",
            start_new_session=True,
        )

    def say(self, line: str) -> None:
        """Send one line; a worker that is gone hears nothing."""
        stdin: IO[str] | None = self.process.stdin
        assert stdin is not None
        try:
            stdin.write(line + "\n")
            stdin.flush()
        except (BrokenPipeError, ValueError):
            pass

    def make(self, job: Job, on_event: Callable[[dict[str, Any]], None]) -> dict[str, Any] | None:
        """Hand over a job and pass its events on; the event that ended it, or None if the process died."""
        self.say(encode_job(job))
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event: dict[str, Any] = json.loads(line)
            if event["event"] in ("finished", "interrupted", "failed"):
                return event
            on_event(event)
        return None

    def cause_of_death(self) -> str:
        """Why the process ended, in words."""
        code = self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        said = f"; it last said: {lines[-1][:300]}" if lines else ""
        return f"its process was killed by signal {-code}{said}" if code < 0 else f"its process ended with {code}{said}"

    def close(self) -> None:
        """No more jobs: the worker ends by itself."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()


def _outcome(job: Job, event: dict[str, Any]) -> Outcome:
    if event["event"] == "finished":
        return Outcome(job, event["status"], event["reason"])
    if event["event"] == "interrupted":
        return Outcome(job, "interrupted", event["reason"])
    return Outcome(job, "failed", event["reason"], event["exit_code"], event.get("traceback"))
