from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.config import Settings
from cifar_lab.core.errors import EnvironmentFault, Interrupted, LabError, TimeLimit
from cifar_lab.execution.signals import StopRequests
from cifar_lab.execution.tracker import Outcome, Policy, RunTracker
from cifar_lab.training.events import RunOutcome
from cifar_lab.training.job import Job

JOBS = [Job(Settings(label=name), 0, name, {}, "", Path("results"), True) for name in "abc"]
GO_ON = "run the same command again (without --force) to resume"


def tracker(policy: Policy, heard: list[Any] | None = None, now: float = 0.0) -> RunTracker:
    sink = heard if heard is not None else []
    return RunTracker(JOBS, policy, lambda job, event: sink.append((job.run_id, event)), lambda: now)


def failed(job: Job, exit_code: int = 1) -> Outcome:
    return Outcome(job, "failed", "its process was killed by signal 9", exit_code, kind="killed", attempts=2)


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_run_is_tried_as_often_again_as_the_policy_says(retries: int) -> None:
    runs = tracker(Policy(retries=retries))
    assert [runs.may_retry(JOBS[0]) for _ in range(retries + 1)] == [True] * retries + [False]
    assert (runs.failed_attempts(JOBS[0]), runs.failed_attempts(JOBS[1])) == (retries + 1, 0)


def test_an_end_is_told_and_kept_in_the_order_of_the_runs() -> None:
    heard: list[Any] = []
    runs = tracker(Policy(), heard)
    ends = [Outcome(JOBS[2], "done", val_accuracy=0.5), failed(JOBS[0]), Outcome(JOBS[1], "diverged", "not finite")]
    for end in ends:
        runs.end(end)
    assert heard[0] == (
        "c",
        RunOutcome(status="done", reason=None, exit_code=0, kind=None, attempts=1, val_accuracy=0.5),
    )
    assert runs.result(StopRequests()) == [ends[1], ends[2], ends[0]]


def test_failures_are_counted_up_to_the_most() -> None:
    runs = tracker(Policy(max_failures=2))
    assert runs.stop_reason() is None
    runs.end(failed(JOBS[0]))
    assert runs.stop_reason() is None
    runs.end(failed(JOBS[1]))
    assert runs.stop_reason() == "2 runs have failed"


def test_the_deadline_is_a_moment() -> None:
    assert tracker(Policy(deadline=5.0), now=4.9).stop_reason() is None
    assert tracker(Policy(deadline=5.0), now=5.0).stop_reason() == "the time limit is reached"


def test_why_a_command_ended_early_and_how_to_go_on() -> None:
    runs = tracker(Policy(max_failures=1))
    runs.end(failed(JOBS[1], exit_code=4))
    state = "1 of 3 runs have ended, the others keep their last completed epoch"
    requests = StopRequests()
    requests.stop("1 run has failed")
    with pytest.raises(EnvironmentFault) as full:
        runs.result(requests)
    assert str(full.value) == (
        f"stopped, 1 run has failed; {state}; the last: b · seed 0: its process was killed by signal 9; "
        f"fix this, then {GO_ON}"
    )
    runs = tracker(Policy(max_failures=1))
    runs.end(failed(JOBS[1]))
    with pytest.raises(LabError) as few:
        runs.result(requests)
    assert few.value.exit_code == 1
    limited = StopRequests()
    limited.stop("the time limit is reached")
    with pytest.raises(TimeLimit) as late:
        tracker(Policy()).result(limited)
    assert late.value.exit_code == 124
    assert str(late.value) == (
        f"stopped, the time limit is reached; 0 of 3 runs have ended, "
        f"the others keep their last completed epoch; {GO_ON}"
    )
    signalled = StopRequests()
    signalled.stop("the time limit is reached")
    signalled._handle(signal.SIGINT, None)
    with pytest.raises(Interrupted) as stopped:
        tracker(Policy()).result(signalled)
    assert stopped.value.exit_code == 130


def test_a_stop_that_came_when_all_had_ended_is_none() -> None:
    runs = tracker(Policy(max_failures=1))
    for job in JOBS:
        runs.end(failed(job))
    requests = StopRequests()
    requests.stop("3 runs have failed")
    assert [outcome.status for outcome in runs.result(requests)] == ["failed"] * 3
