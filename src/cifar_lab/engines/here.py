"""Runs on this machine: worker processes that each make one run after another. The parent never imports torch."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, Literal

from cifar_lab.config import Settings
from cifar_lab.engines.protocol import STOP, encode_check, encode_job
from cifar_lab.engines.signals import StopRequests
from cifar_lab.errors import EnvironmentFault, Interrupted, LabError, SettingsError, WeightsError
from cifar_lab.plan import Job

ENDINGS = ("finished", "interrupted", "failed")
"""Events of a worker that end what it was asked for."""

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

        def stop_all() -> None:
            with contextlib.suppress(OSError, ValueError):  # nobody may be there to read it
                print("stopping after this epoch; Ctrl-C again stops at once", file=sys.stderr, flush=True)
            for slot in slot_objects:
                slot.stop()

        def kill_all() -> None:
            for slot in slot_objects:
                slot.kill()

        requests.on_stop(stop_all)
        requests.on_kill(kill_all)
        threads = [threading.Thread(target=slot.work, daemon=True) for slot in slot_objects]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(timeout=0.1)
                    requests.enforce_deadline()
        finally:
            kill_all()
        for slot in slot_objects:
            if slot.fault is not None:
                raise slot.fault
        ended = sum(outcome.status != "interrupted" for outcome in outcomes.values())
        if requests.signum is not None and ended < len(jobs):
            raise Interrupted(
                f"stopped; {ended} of {len(jobs)} runs have ended, the others keep their last epoch; "
                "give the same command again (without --force) to go on",
                requests.signum,
            )
    return [outcomes[number] for number in range(len(jobs))]


def check_models(arms: Sequence[tuple[Settings, int]]) -> None:
    """Build the model of each (settings, number of classes) in a worker.

    Raises:
        LabError: with the exit code and the words of the first that does not build.
    """
    worker = _Worker(threads=1)
    try:
        for settings, num_classes in arms:
            worker.say(encode_check(settings, num_classes))
            event = next(worker.events(), None)
            if event is None:
                raise LabError(f"model.name: {settings.model.name} cannot be built: {worker.cause_of_death()}")
            if event["event"] == "failed":
                raise _error_of(event)
    finally:
        worker.close()


def _error_of(event: dict[str, Any]) -> LabError:
    """The exception that a worker told of."""
    kinds: tuple[type[LabError], ...] = (SettingsError, WeightsError, EnvironmentFault)
    kind = next((kind for kind in kinds if kind.exit_code == event["exit_code"]), LabError)
    return kind(event["reason"])


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
        self.fault: Exception | None = None

    def work(self) -> None:
        """Make runs until the queue is empty or a stop is asked for; what goes wrong here is for `execute` to raise."""
        try:
            self._work()
        except Exception as error:
            self.fault = error
        finally:
            if self.worker is not None:
                self.worker.close()

    def _work(self) -> None:
        while not self.requests.stopping:
            try:
                number = self.waiting.get_nowait()
            except queue.Empty:
                break
            self.outcomes[number] = outcome = self._make(self.jobs[number])
            self.tell(outcome.job, {"event": "outcome", "status": outcome.status, "reason": outcome.reason})

    def _make(self, job: Job) -> Outcome:
        for _ in range(MAX_ATTEMPTS):
            if self.worker is None:
                try:
                    self.worker = _Worker(job.threads)
                except OSError as error:
                    reason = f"its process cannot be started ({error.strerror or error}); close other programs"
                    return Outcome(job, "failed", reason, EnvironmentFault.exit_code)
            self.tell(job, {"event": "started"})
            worker = self.worker
            worker.say(encode_job(job))
            if self.requests.stopping:  # the wish came before there was a worker to hear it
                worker.say(STOP)
            for event in worker.events():
                if event["event"] in ENDINGS:
                    if event["event"] == "failed":  # what it left behind in its process is not known
                        worker.close()
                        self.worker = None
                    return _outcome(job, event)
                self.tell(job, event)
            reason = worker.cause_of_death()
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
            # -P: a file of the user's called queue.py must not be taken for Python's own.
            [sys.executable, "-P", "-m", "cifar_lab.engines.worker"],
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
        with contextlib.suppress(BrokenPipeError, ValueError):
            stdin.write(line + "\n")
            stdin.flush()

    def events(self) -> Iterator[dict[str, Any]]:
        """What it tells, until it has no more to say; a line that its death cut short is nothing."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(json.JSONDecodeError):
                yield json.loads(line)

    def cause_of_death(self) -> str:
        """Why the process ended, in words."""
        code = self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        self.close()
        said = f"; it last said: {lines[-1][:300]}" if lines else ""
        return f"its process was killed by signal {-code}{said}" if code < 0 else f"its process ended with {code}{said}"

    def close(self) -> None:
        """No more jobs: the worker ends by itself."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
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
