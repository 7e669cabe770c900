"""What becomes of runs whose process dies, hangs or runs out of memory, and of the others. Real processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.execution import watchdog as clock
from cifar_lab.execution.local import engine as here
from cifar_lab.execution.local import process as child
from cifar_lab.execution.local.engine import execute
from cifar_lab.execution.tasks import make_tasks
from cifar_lab.execution.tracker import Outcome, Policy
from cifar_lab.execution.watchdog import OomWatch
from cifar_lab.training.events import Event, RetryScheduled, RunResumed, RunStarted
from cifar_lab.training.job import Job

from .own_model import MODEL_CLASS

pytestmark = pytest.mark.slow

MODEL = """
import ctypes, os, resource, signal, time
from pathlib import Path

def first_time():
    try:
        Path(__file__).with_suffix(".begun").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
""" + MODEL_CLASS  # fmt: skip

ACT_LINE = 1 + MODEL.splitlines().index("            {act}")

KILL = "os.kill(os.getpid(), signal.SIGKILL)"


@dataclass(frozen=True)
class RunBatch:
    """What came of runs that were made at once."""

    outcomes: dict[str, Outcome]
    heard: list[tuple[str, Event]]

    def events(self, name: str, kind: str) -> list[Any]:
        return [event for label, event in self.heard if label == name and event.word == kind]


def job(lab: Any, name: str, act: str) -> Job:
    """A run of three epochs of 8 steps, each of which does `act`."""
    path = lab.folder / f"{name}.py"
    path.write_text(MODEL.replace("{act}", act), encoding="utf-8")
    found: Job = lab.job(lab.settings(f"label={name}", f"model.name={path}:Model"))
    return found


def make(lab: Any, acts: dict[str, str], policy: Policy, slots: int, watch: OomWatch | None = None) -> RunBatch:
    heard: list[tuple[str, Event]] = []
    jobs = [job(lab, name, act) for name, act in acts.items()]

    def listen(job: Job, event: Event) -> None:
        heard.append((job.settings.label, event))

    outcomes = execute(make_tasks(jobs, 0), slots, listen, policy, watch)
    return RunBatch({outcome.job.settings.label: outcome for outcome in outcomes}, heard)


# --- deaths -----------------------------------------------------------------------------------------------------------

DEATHS = {
    "struck": f"self.passes > 16 and first_time() and {KILL}",
    "deadly": KILL,
    "wrong": "raise ValueError('no')",
    "importing": "first_time() and __import__('no_such_module')",
    # The child holds the pipes of its dead parent open.
    "forking": f"first_time() and (os.fork() or time.sleep(600)) and {KILL}",
    "healthy": "pass",
}


@pytest.fixture(scope="module")
def deaths(shared_lab: Any) -> RunBatch:
    return make(shared_lab, DEATHS, Policy(retries=1), slots=2)


def test_a_death_costs_a_run_its_epoch_and_nobody_else_anything(deaths: RunBatch) -> None:
    struck, healthy = deaths.outcomes["struck"], deaths.outcomes["healthy"]
    assert (struck.status, struck.attempts, healthy.status, healthy.attempts) == ("done", 2, "done", 1)
    assert deaths.events("struck", "retry") == [
        RetryScheduled(reason="its process was killed by signal 9", attempt=2, alone=False)
    ]
    assert deaths.events("struck", "resumed") == [RunResumed(epoch=2)]
    assert [event.epoch for event in deaths.events("struck", "epoch")] == [1, 2, 3]


def test_a_run_that_dies_again_has_failed(deaths: RunBatch) -> None:
    outcome = deaths.outcomes["deadly"]
    assert (outcome.status, outcome.kind, outcome.attempts) == ("failed", "killed", 2)
    assert outcome.reason == "its process was killed by signal 9 (tried 2 times)"
    assert len(deaths.events("deadly", "started")) == 2


def test_a_failure_that_would_come_again_is_not_tried_again(deaths: RunBatch) -> None:
    outcome = deaths.outcomes["wrong"]
    assert (outcome.status, outcome.kind, outcome.attempts) == ("failed", "error", 1)
    assert len(deaths.events("wrong", "started")) == 1


def test_an_import_that_fails_is_tried_again(deaths: RunBatch) -> None:
    assert (deaths.outcomes["importing"].status, deaths.outcomes["importing"].attempts) == ("done", 2)
    (retry,) = deaths.events("importing", "retry")
    assert retry.reason.startswith("ModuleNotFoundError: No module named 'no_such_module' (")


def test_what_a_worker_forked_does_not_keep_its_slot(deaths: RunBatch) -> None:
    assert (deaths.outcomes["forking"].status, deaths.outcomes["forking"].attempts) == ("done", 2)


# --- memory -----------------------------------------------------------------------------------------------------------

LACK = {
    "torch": ("first_time() and torch.empty(2**50)", "out of memory at batch size 32: RuntimeError: "),
    "python": ("first_time() and bytearray(2**62)", "out of memory at batch size 32: MemoryError"),
    "limited": (
        "first_time() and (resource.setrlimit(resource.RLIMIT_AS, (2**33,) * 2), torch.empty(2**31))",
        "out of memory at batch size 32: RuntimeError: ",
    ),
    "abort": (
        "first_time() and (os.write(2, b'std::bad_alloc'), os.abort())",
        "out of memory: its process was killed by signal 6; its last output: std::bad_alloc",
    ),
    "killed": (f"first_time() and {KILL}", "out of memory: the kernel ended its process"),
}
"""Model → (what it does once, what is said of it)."""


@pytest.fixture(scope="module")
def lack(shared_lab: Any) -> RunBatch:
    acts = {name: act for name, (act, _) in LACK.items()}
    watch = OomWatch(lambda: int((shared_lab.folder / "killed.begun").exists()))  # the kernel counts that one
    return make(shared_lab, {**acts, "other": "time.sleep(0.1)"}, Policy(retries=1), slots=2, watch=watch)


@pytest.mark.parametrize("name", LACK)
def test_a_lack_of_memory_is_told_apart_and_the_run_tried_again(lack: RunBatch, name: str) -> None:
    assert (lack.outcomes[name].status, lack.outcomes[name].attempts) == ("done", 2)
    (retry,) = lack.events(name, "retry")
    assert retry.reason.startswith(LACK[name][1])
    assert retry.alone


def test_what_ran_out_of_memory_has_nothing_beside_it_the_second_time(lack: RunBatch) -> None:
    assert lack.outcomes["other"].attempts == 1
    under_way, failed, alone = set(), set(), 0
    for name, event in lack.heard:
        if isinstance(event, RunStarted):
            under_way.add(name)
            assert under_way == {name} or not under_way & failed
            alone += name in failed
        elif event.word in ("retry", "outcome"):
            under_way.discard(name)
            failed.add(name)
    assert alone == len(LACK)


@pytest.fixture
def small_memory() -> Iterator[Callable[[int], object]]:
    """Puts a process, and those that it will start, into a control group of 800 MiB."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    v1 = [Path("/sys/fs/cgroup/memory" + path) for _, kinds, path in lines if "memory" in kinds.split(",")]
    v2 = [Path("/sys/fs/cgroup" + path) for _, kinds, path in lines if kinds == ""]
    parent, limit = (v1[0], "memory.limit_in_bytes") if v1 else (v2[0], "memory.max")
    group = parent / f"cifar-lab-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / limit).write_text(str(800 * 2**20))
    except OSError as refused:
        if group.is_dir():
            group.rmdir()
        pytest.skip(f"control groups of memory cannot be made here ({refused}); as root they can")
    yield lambda pid: (group / "cgroup.procs").write_text(str(pid))
    deadline = time.monotonic() + 10
    while (group / "cgroup.procs").read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    group.rmdir()


def test_the_kernel_ends_a_worker_and_not_its_parent(lab: Any, small_memory: Callable[[int], object]) -> None:
    job(lab, "greedy", "self.hold = torch.ones(2**28)")
    greedy = lab.file("greedy", f"model.name={lab.folder}/greedy.py:Model")
    with lab.start("run", greedy, lab.file("healthy"), "--workers", "1", "--no-trial") as command:
        small_memory(command.process.pid)
        assert command.end() == 1
        output = command.output
    assert (
        "greedy · seed 0: out of memory: the kernel ended its process; attempt 2 resumes from its last epoch" in output
    )
    assert "greedy · seed 0: failed: out of memory: the kernel ended its process (tried 2 times)" in output
    assert "healthy · seed 0: done" in output
    code, listed, _ = lab.command("list")
    assert code == 0
    assert "failed (oom)" in listed
    code, shown, _ = lab.command("show", next(line.split()[0] for line in listed.splitlines() if "greedy" in line))
    assert "why: out of memory: the kernel ended its process (tried 2 times) (20" in shown


# --- time -------------------------------------------------------------------------------------------------------------

STUCK = {
    "asleep": "time.sleep(600)",
    "in a call": "ctypes.PyDLL(None).sleep(600)",  # which keeps Python's lock, so that no thread of it runs
    "stopped": "os.kill(os.getpid(), signal.SIGSTOP)",
}


@pytest.fixture(scope="module")
def stuck(shared_lab: Any) -> RunBatch:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(child, "GRACE_SECONDS", 0.5)
        return make(shared_lab, {**STUCK, "quick": "pass"}, Policy(retries=0, run_seconds=4), slots=2)


@pytest.mark.parametrize("name", STUCK)
def test_a_run_that_is_stuck_is_ended_and_says_where(shared_lab: Any, stuck: RunBatch, name: str) -> None:
    outcome = stuck.outcomes[name]
    assert (outcome.status, outcome.kind, outcome.attempts) == ("failed", "timeout", 1)
    place = "" if name == "stopped" else f"; it was at {shared_lab.folder}/{name}.py:{ACT_LINE} (forward)"
    assert outcome.reason == f"took longer than 4 s (--run-timeout){place}"
    assert stuck.outcomes["quick"].status == "done"


@pytest.fixture(scope="module")
def slow(shared_lab: Any) -> RunBatch:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(here, "POLL_SECONDS", 0.02)
        patch.setattr(clock, "QUIET_SECONDS", 0.3)
        return make(shared_lab, {"slow": "time.sleep(0.15)"}, Policy(retries=2, run_seconds=0.6), slots=1)


def test_a_run_that_is_late_keeps_the_epoch_that_it_is_in_and_goes_on(slow: RunBatch) -> None:
    assert (slow.outcomes["slow"].status, slow.outcomes["slow"].attempts) == ("done", 3)
    assert [event.epoch for event in slow.events("slow", "resumed")] == [1, 2]
    assert [event.epoch for event in slow.events("slow", "epoch")] == [1, 2, 3]


def test_silence_is_told_with_the_process(slow: RunBatch) -> None:
    told = slow.events("slow", "quiet")
    assert told
    assert told[0].pid > 0
    assert told[0].seconds >= 0.3


# --- parents ----------------------------------------------------------------------------------------------------------


def test_a_worker_in_a_call_that_never_returns_dies_with_its_parent(lab: Any) -> None:
    job(lab, "stuck", "open('reached', 'w').close() or ctypes.PyDLL(None).sleep(600)")
    with lab.start("run", lab.file("stuck", f"model.name={lab.folder}/stuck.py:Model")) as command:
        deadline = time.monotonic() + 30
        while not (lab.folder / "reached").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        (worker,) = command.workers()
        parent, ours = (int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in (command.process.pid, worker))
        assert parent < ours
        os.kill(command.process.pid, signal.SIGKILL)
        killed = time.monotonic()
        while _lives(worker):
            assert time.monotonic() - killed < 5
            time.sleep(0.02)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
