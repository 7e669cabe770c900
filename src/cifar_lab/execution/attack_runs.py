"""Attacks on finished runs in worker processes: plan, execute, outcomes. No torch."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from signal import Signals

from cifar_lab.config import Settings
from cifar_lab.config.attack import AnyAttack, attack_id
from cifar_lab.core.errors import DataError, ExitCode, Interrupted, TimeLimit, exit_code_of
from cifar_lab.core.host import available_cores, has_gpu, print_status
from cifar_lab.core.text import plain
from cifar_lab.execution.local.process import WorkerProcess
from cifar_lab.execution.protocol import STOP
from cifar_lab.execution.signals import StopRequests
from cifar_lab.store.attack_records import AttackRecord, attack_file, belongs_to, read_attack
from cifar_lab.store.left_out import skip
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder
from cifar_lab.training.attacks.job import AttackJob, encode_attack
from cifar_lab.training.events import (
    AttackProgress,
    Event,
    RunEnd,
    RunFailed,
    RunFinished,
    RunHeld,
    RunInterrupted,
    WarningIssued,
)

MOST_TOGETHER = 10
"""Networks that a worker attacks together on the CPU. More need more memory and are no faster."""

MOST_ON_GPU = 64

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Victim:
    """A finished run to attack."""

    record: Record
    settings: Settings
    attacks: tuple[AnyAttack, ...]


@dataclass(frozen=True)
class AttackPlan:
    """Attacks to make, and those that are there."""

    jobs: tuple[AttackJob, ...]
    to_make: int
    """Pairs of a run and an attack to make."""
    made: int
    """Pairs that have a complete record."""
    workers: int
    """Processes at a time."""
    on_gpu: bool = False


@dataclass
class AttackOutcomes:
    """Ends of the jobs of a command."""

    failures: list[str] = field(default_factory=list)
    """A line per job that failed."""
    codes: list[int] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """Exit code of the failures. 0 without any."""
        return exit_code_of(self.codes)


def plan_attacks(
    victims: Sequence[Victim], results: Path, *, device: str = "auto", workers: int | None = None, force: bool = False,
) -> AttackPlan:  # fmt: skip
    """Divide the missing attacks among workers: runs of one architecture and data set are attacked together."""
    on_gpu = device != "cpu" and has_gpu()
    cores = available_cores()
    wanted = 1 if on_gpu else min(workers or cores, cores)
    groups: dict[tuple[str, str, tuple[AnyAttack, ...]], list[Victim]] = {}
    for each in victims:
        missing = tuple(
            attack for attack in each.attacks if force or found_attack(results, each.record, attack) is None
        )
        if missing:
            key = each.settings.model.model_dump_json(), each.record.data.fingerprint, missing
            groups.setdefault(key, []).append(each)
    to_make = sum(len(missing) * len(members) for (_, _, missing), members in groups.items())
    parts = ceil(wanted / len(groups)) if groups else 1
    divided = [(key[2], part) for key, members in groups.items() for part in _divided(members, parts, on_gpu)]
    workers = max(1, min(wanted, len(divided)))
    jobs = [
        AttackJob(
            results, missing, tuple(each.record.run_id for each in part), tuple(each.settings for each in part), device,
            max(1, cores // workers), force,
        )
        for missing, part in divided
    ]  # fmt: skip
    jobs.sort(key=lambda job: -len(job.run_ids) * len(job.attacks))
    return AttackPlan(tuple(jobs), to_make, sum(len(each.attacks) for each in victims) - to_make, workers, on_gpu)


def _divided(members: Sequence[Victim], parts: int, on_gpu: bool) -> Iterator[list[Victim]]:
    """About equal parts, none with more networks than a worker attacks together."""
    most = MOST_ON_GPU if on_gpu else MOST_TOGETHER
    count = min(len(members), max(parts, ceil(len(members) / most)))
    for index in range(count):
        yield list(members[index::count])


def found_attack(results: Path, record: Record, attack: AnyAttack) -> AttackRecord | None:
    """Complete record of an attack on a run's network. None without one."""
    try:
        found = read_attack(attack_file(RunFolder(results, record.run_id), attack_id(attack)))
    except (FileNotFoundError, DataError):
        return None
    return found if found.is_complete and belongs_to(found, record) else None


class _Worker(threading.Thread):
    """Thread that hands jobs to one worker process. The process dies with this thread."""

    def __init__(self, jobs: queue.SimpleQueue[AttackJob], team: _Team) -> None:
        super().__init__(daemon=True)
        self._jobs, self._team = jobs, team
        self.process: WorkerProcess | None = None

    def run(self) -> None:
        """Make jobs until none is left."""
        try:
            while not self._team.stopping:
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    return
                if self.process is None:
                    self.process = WorkerProcess(job.threads)
                self._team.ended(job, self._make(job, self.process))
        finally:
            if self.process is not None:
                self.process.close()

    def _make(self, job: AttackJob, process: WorkerProcess) -> RunEnd:
        process.say(encode_attack(job))
        for event, _ in process.messages():
            if isinstance(event, AttackProgress):
                self._team.progress(job, event)
            elif isinstance(event, WarningIssued):
                skip(event.text)
            elif isinstance(event, RunEnd):
                return event
        self.process = None
        if self._team.stopping:
            process.close()
            return RunInterrupted("stopped")
        return RunFailed(process.cause_of_death(), ExitCode.RUNS_FAILED, "killed")


class _Team:
    """Threads of a command, with what they report."""

    def __init__(self, plan: AttackPlan, on_progress: Callable[[AttackJob, int, int], object]) -> None:
        jobs: queue.SimpleQueue[AttackJob] = queue.SimpleQueue()
        for job in plan.jobs:
            jobs.put(job)
        self.stopping = False
        self.outcomes = AttackOutcomes()
        self._lock = threading.Lock()
        self._on_progress = on_progress
        self.workers = [_Worker(jobs, self) for _ in range(plan.workers)] if plan.jobs else []

    def progress(self, job: AttackJob, event: AttackProgress) -> None:
        with self._lock:
            self._on_progress(job, event.done, event.total)

    def ended(self, job: AttackJob, end: Event) -> None:
        """Note the end of a job."""
        with self._lock:
            names = ", ".join(job.run_ids[:3]) + (", …" if len(job.run_ids) > 3 else "")
            if isinstance(end, RunFailed):
                self.outcomes.failures.append(plain(f"{names}: {end.reason}"))
                self.outcomes.codes.append(end.exit_code)
            elif isinstance(end, RunHeld):
                self.outcomes.failures.append(plain(f"{names}: held by {end.holder}; repeat the command later"))
                self.outcomes.codes.append(ExitCode.ENVIRONMENT)
            elif isinstance(end, RunFinished):
                self._on_progress(job, 1, 1)

    def stop(self) -> None:
        """Stop after the present batch."""
        print_status("stopping after the current images; press Ctrl-C again to stop immediately")
        self.stopping = True
        for worker in self.workers:
            if worker.process is not None:
                worker.process.say(STOP)

    def kill(self) -> None:
        """Stop at once."""
        self.stopping = True
        for worker in self.workers:
            if worker.process is not None:
                worker.process.kill()


def make_attacks(plan: AttackPlan, on_progress: Callable[[AttackJob, int, int], object]) -> AttackOutcomes:
    """Make the attacks of a plan. Records grow on disk, so an interrupted command resumes.

    Args:
        on_progress: called with a job, its images that are done, and all of them.

    Raises:
        Interrupted: a signal stopped it.
    """
    team = _Team(plan, on_progress)
    with StopRequests() as requests:
        requests.on_stop(team.stop)
        requests.on_kill(team.kill)
        try:
            for worker in team.workers:
                worker.start()
            while alive := [worker for worker in team.workers if worker.is_alive()]:
                alive[0].join(POLL_SECONDS)
                requests.enforce_deadline()
        finally:
            if any(worker.is_alive() for worker in team.workers):
                team.kill()
        if requests.signum is not None:
            raise Interrupted("stopped; run the same command again to resume", Signals(requests.signum))
        if requests.why is not None:
            raise TimeLimit(f"stopped, {requests.why}; run the same command again to resume")
    return team.outcomes
