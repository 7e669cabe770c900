"""Runs on this machine: worker processes that each make one task after another. The parent never imports torch."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Sequence

from cifar_lab.execution.oom import OomWatch
from cifar_lab.execution.outcomes import OnEvent, Outcome
from cifar_lab.execution.retry_policy import Policy
from cifar_lab.execution.signals import StopRequests
from cifar_lab.execution.supervisor import WorkerSupervisor
from cifar_lab.execution.task_queue import PullQueue
from cifar_lab.execution.tasks import Task
from cifar_lab.execution.tracker import RunTracker

LOOK_SECONDS = 0.1
"""Between two looks at signals, limits and processes."""


def execute(
    tasks: Sequence[Task],
    slots: int,
    on_event: OnEvent,
    policy: Policy = Policy(),  # noqa: B008
    oom_watch: OomWatch | None = None,
    new_slot: Callable[[PullQueue, RunTracker, StopRequests, OomWatch], WorkerSupervisor] = WorkerSupervisor,
) -> list[Outcome]:
    """Make the runs of every task exist, `slots` tasks at a time in their order; outcomes in the order of the runs.

    A run whose process dies, runs out of memory or takes too long is tried again in a fresh process from its last
    epoch, as often as the policy says; after a lack of memory with nothing beside it, when the others are made.

    `on_event` hears each worker's events, one call at a time. SIGINT, SIGTERM or SIGHUP once, the policy's deadline or
    its `max_failures`: no new run is begun, the runs under way end after their epoch; a signal twice: they are ended at
    once. All leave what is needed to go on.

    Raises:
        Interrupted, TimeLimit: a signal or the deadline ended it; the outcomes so far are told by events.
        LabError: `max_failures` did.
    """
    queue, course, watch = PullQueue(tasks), RunTracker(tasks, policy, on_event), oom_watch or OomWatch()
    with StopRequests() as requests:
        slot_objects = [new_slot(queue, course, requests, watch) for _ in range(min(slots, len(tasks)))]

        def stop_all() -> None:
            if requests.signum is not None:
                _say("stopping after this epoch; Ctrl-C again stops at once")
            else:
                _say(f"{requests.why}: stopping after this epoch; Ctrl-C twice stops at once")
            queue.close()
            for slot in slot_objects:
                slot.stop()

        def kill_all() -> None:
            queue.close()
            for slot in slot_objects:
                slot.kill()

        requests.on_stop(stop_all)
        requests.on_kill(kill_all)
        if (why := course.stop_reason()) is not None:  # a sweep whose search took all the time
            requests.stop(why)
        threads = [threading.Thread(target=slot.work, daemon=True) for slot in slot_objects]
        try:
            for thread in threads:
                thread.start()
            while alive := [thread for thread in threads if thread.is_alive()]:
                alive[0].join(LOOK_SECONDS)
                watch.look()
                for slot in slot_objects:
                    slot.look()
                if (why := course.stop_reason()) is not None:
                    requests.stop(why)
                requests.enforce_deadline()
        finally:
            kill_all()
            for thread in threads:
                thread.join()
        for slot in slot_objects:
            if slot.fault is not None:
                raise slot.fault
        return course.result(requests)


def _say(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody may be there to read it
        print(line, file=sys.stderr, flush=True)
