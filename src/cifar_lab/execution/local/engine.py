"""Local engine: supervisors of worker processes, and the loop that watches signals and limits. Imports no torch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from cifar_lab.config import Settings
from cifar_lab.core.gpu_driver import driver_gpu_count
from cifar_lab.core.host import available_cores, has_gpu, print_status
from cifar_lab.execution.cost import takes_gpu
from cifar_lab.execution.elsewhere import holder_of
from cifar_lab.execution.local.early_worker import EarlyWorker
from cifar_lab.execution.local.worker_pool import WorkerPool
from cifar_lab.execution.local.worker_queries import count_gpus
from cifar_lab.execution.pull_queue import PullQueue
from cifar_lab.execution.signals import StopRequests
from cifar_lab.execution.supervisor import WorkerSupervisor
from cifar_lab.execution.tasks import Task
from cifar_lab.execution.tracker import OnEvent, Outcome, Policy, RunTracker
from cifar_lab.execution.watchdog import OomWatch
from cifar_lab.training.events import RunsAwaited

POLL_SECONDS = 0.1
"""Interval between checks of signals, limits and processes."""

NewSupervisor = Callable[[PullQueue, RunTracker, StopRequests, OomWatch], WorkerSupervisor]


class LocalEngine:
    """Engine of processes on this machine."""

    on_this_machine = True

    def __init__(self, first: EarlyWorker | None = None) -> None:
        """Use the worker that was started early, if any."""
        self._pool = WorkerPool(first)

    def keeping_workers(self) -> AbstractContextManager[None]:
        """As `Engine`."""
        return self._pool.keeping()

    def check_devices(self, arms: Sequence[Settings]) -> None:
        """As `Engine`. torch must see a GPU, and the C compiler must build the kernels of the CPU."""
        if any(settings.runtime.device == "cuda" for settings in arms):
            from cifar_lab.training.device import choose_device

            choose_device("cuda")
        if any(settings.runtime.kernels == "own" and not takes_gpu(settings) for settings in arms):
            from cifar_lab.training.backends.kept_libraries import KernelsUnavailable
            from cifar_lab.training.backends.kernels.compiler import library

            try:
                library()
            except KernelsUnavailable as error:
                raise error.as_settings_error() from error

    def open(self) -> None:
        """As `Engine`. This machine is always ready."""

    def gpus(self) -> int:
        """Number of GPUs that torch sees. The driver is asked first, because torch takes seconds to import."""
        if not has_gpu():
            return 0
        counted = driver_gpu_count()
        return count_gpus() if counted is None else counted

    def cores(self) -> int:
        """Cores that this process may use."""
        return available_cores()

    def execute(self, tasks: Sequence[Task], slots: int | None, on_event: OnEvent, policy: Policy) -> list[Outcome]:
        """As `Engine`, by default with a process per core. The threads of concurrent tasks do not exceed the cores."""

        def new_supervisor(
            queue: PullQueue, tracker: RunTracker, requests: StopRequests, watch: OomWatch
        ) -> WorkerSupervisor:
            return WorkerSupervisor(queue, tracker, requests, watch, self._pool)

        slots, cores = slots or available_cores(), available_cores()
        return execute(tasks, slots, on_event, policy, new_supervisor=new_supervisor, cores=cores)


def execute(
    tasks: Sequence[Task],
    slots: int,
    on_event: OnEvent,
    policy: Policy = Policy(),  # noqa: B008
    oom_watch: OomWatch | None = None,
    new_supervisor: NewSupervisor = WorkerSupervisor,
    cores: int | None = None,
) -> list[Outcome]:
    """Make the runs of every task, `slots` tasks at a time in their order, and return outcomes in the order of runs.

    `cores`: see `PullQueue`.

    A run whose process dies, runs out of memory or exceeds its time is retried in a fresh process from its last epoch,
    as often as the policy allows. After an out-of-memory failure it is retried alone, after the others. Runs that other
    commands hold come last. Those that are held even then are skipped, unless the policy waits for them.

    `on_event` receives the workers' events, one call at a time. The first SIGINT, SIGTERM or SIGHUP, the policy's
    deadline or its `max_failures` stops scheduling, and running runs stop after their epoch. A second signal ends them
    at once. All of them can be resumed.

    Raises:
        Interrupted, TimeLimit: a signal or the deadline stopped it. The outcomes so far were emitted as events.
        LabError: `max_failures` did.
    """
    queue, watch = PullQueue(tasks, cores, patient=policy.wait), oom_watch or OomWatch()
    tracker = RunTracker([job for task in tasks for job in task.jobs], policy, on_event)
    with StopRequests() as requests:
        supervisors = [new_supervisor(queue, tracker, requests, watch) for _ in range(min(slots, len(tasks)))]

        def stop_all() -> None:
            if requests.signum is not None:
                print_status("stopping after the current epoch; press Ctrl-C again to stop immediately")
            else:
                print_status(
                    f"{requests.why}: stopping after the current epoch; press Ctrl-C twice to stop immediately"
                )
            queue.close()
            for supervisor in supervisors:
                supervisor.stop()

        def kill_all() -> None:
            queue.close()
            for supervisor in supervisors:
                supervisor.kill()

        requests.on_stop(stop_all)
        requests.on_kill(kill_all)
        if (why := tracker.stop_reason()) is not None:  # a sweep whose search took all the time
            requests.stop(why)
        threads = [threading.Thread(target=supervisor.work, daemon=True) for supervisor in supervisors]
        try:
            for thread in threads:
                thread.start()
            awaited = False
            while alive := [thread for thread in threads if thread.is_alive()]:
                alive[0].join(POLL_SECONDS)
                awaited = awaited or _tell_awaited(queue, tracker)
                watch.look()
                for supervisor in supervisors:
                    supervisor.look()
                if (why := tracker.stop_reason()) is not None:
                    requests.stop(why)
                requests.enforce_deadline()
        finally:
            kill_all()
            for thread in threads:
                thread.join()
        for supervisor in supervisors:
            if supervisor.fault is not None:
                raise supervisor.fault
        if not requests.stopping:
            _skip_held(queue, tracker)
        return tracker.result(requests)


def _tell_awaited(queue: PullQueue, tracker: RunTracker) -> bool:
    """Emit that the command only waits for others, if it does. Whether it was emitted."""
    if not queue.awaits_others or not (held := queue.held):
        return False
    tracker.emit(held[0], RunsAwaited(len(held), holder_of(held[0]) or "another process"))
    return True


def _skip_held(queue: PullQueue, tracker: RunTracker) -> None:
    """End the runs that other commands still hold."""
    for job in queue.held:
        tracker.end(Outcome(job, "held", f"held by {holder_of(job) or 'another process'}"))
