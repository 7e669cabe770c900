"""Threads that a run gives up to other programs, and takes back."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from cifar_lab.core import host as machine
from cifar_lab.core.host import CoreUse, available_cores
from cifar_lab.training.thread_guard import LOOK_SECONDS, START_SECONDS, CoreWatch, ThreadGuard


@dataclass
class Machine:
    """Fake machine. `elsewhere` sets the number of cores that other programs use from now on."""

    cores: int = 2
    elsewhere: float = 0.0
    seconds: float = 100.0
    worked: float = 0.0
    looks: int = 0
    counts: bool = True
    """Whether it counts the use of its cores."""

    def look(self) -> CoreUse:
        self.looks += 1
        counted = self.seconds * self.cores if self.counts else 0.0
        return CoreUse(self.seconds, frozenset(range(self.cores)), self.worked, counted, 0.0)

    def clock(self) -> float:
        return self.seconds

    def go_on(self, seconds: float) -> None:
        self.seconds += seconds
        self.worked += seconds * self.elsewhere

    def guard(self, threads: int, *, asked: bool = False) -> ThreadGuard:
        return ThreadGuard(threads, asked=asked, watch=self.watch())

    def watch(self) -> CoreWatch:
        return CoreWatch(self.look, self.clock)


@pytest.fixture(autouse=True)
def many_cores(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """No quota of the machine that tests run on cuts the made-up ones."""
    if "burners" not in request.fixturenames:
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
        monkeypatch.setattr(machine, "_cgroup_quota_cores", lambda: None)


def said(guard: ThreadGuard, here: Machine, elsewhere: Sequence[float | None]) -> list[int | None]:
    """Answers of the guard, one per interval of LOOK_SECONDS.

    Args:
        elsewhere: cores that other programs use during each interval. None: the machine does not count its use.
    """
    answers = []
    for epoch, use in enumerate(elsewhere, start=1):
        here.counts, here.elsewhere = use is not None, use or 0.0
        here.go_on(LOOK_SECONDS)
        answers.append(guard.check(epoch))
    return answers


@pytest.mark.parametrize(
    ("threads", "cores", "elsewhere", "answers", "note"),
    [
        (2, 2, [0.0, 0.2, 0.25], [None] * 3, None),
        (2, 2, [0.0, 0.9, 0.9], [None, None, 1], "from epoch 3 on with 1 thread: other programs used 0.9 of 2 cores"),
        (2, 2, [0.9, 0.0, 0.9, 0.0], [None] * 4, None),
        (2, 2, [0.3, 0.3, 0.0, 0.9], [None, 1, None, None],
         "from epoch 2 on with 1 thread: other programs used 0.3 of 2 cores"),
        (2, 4, [2.0, 2.2, 2.2], [None] * 3, None),
        (2, 4, [3.9, 2.5], [None, 1], "from epoch 2 on with 1 thread: other programs used 2.5 of 4 cores"),
        (8, 8, [1.0, 3.0], [None, 7], "from epoch 2 on with 7 threads: other programs used 1.0 of 8 cores"),
        (4, 2, [0.0, 0.1, 0.0], [None] * 3, None),
        (2, 2, [0.9, None, None, 0.9, 0.9], [None, None, None, None, 1],
         "from epoch 5 on with 1 thread: other programs used 0.9 of 2 cores"),
        (1, 2, [2.0, 2.0, 2.0], [None] * 3, None),
    ],
    ids=["idle", "busy", "busy for a moment", "idle for a moment", "enough cores", "too few", "the milder look counts",
         "more threads than cores", "not counted for a while", "one thread"],
)  # fmt: skip
def test_guard(
    threads: int, cores: int, elsewhere: list[float | None], answers: list[int | None], note: str | None
) -> None:
    here = Machine(cores)
    guard = here.guard(threads)
    assert said(guard, here, elsewhere) == answers
    assert guard.notes == [note] * (note is not None)
    assert guard.threads == next((answer for answer in reversed(answers) if answer), threads)


def test_guard_takes_threads_away_more_than_once() -> None:
    here = Machine(8)
    guard = here.guard(8)
    assert said(guard, here, [2.0, 2.0, 2.0, 5.0, 5.0, 7.9, 7.9, 8.0, 0.0]) == [
        None, 6, None, None, 3, None, 1, None, None,
    ]  # fmt: skip
    assert [note.partition(":")[0] for note in guard.notes] == [
        "from epoch 2 on with 6 threads", "from epoch 5 on with 3 threads", "from epoch 7 on with 1 thread",
    ]  # fmt: skip


def test_guard_gives_threads_back_once_two_looks_agree() -> None:
    here = Machine(4)
    guard = here.guard(4)
    assert said(guard, here, [3.0, 3.0, 0.0, 2.0, 0.1, 0.1]) == [None, 1, None, 2, None, 4]
    assert guard.notes[1:] == [
        "from epoch 4 on with 2 threads: other programs used 2.0 of 4 cores",
        "from epoch 6 on with 4 threads: other programs used 0.1 of 4 cores",
    ]


def test_a_run_begins_with_the_threads_that_fit_beside_others() -> None:
    """Several commands on one machine: each run is short, and its guard would not look twice."""
    here = Machine(2, elsewhere=1.0)
    watch = here.watch()
    here.go_on(START_SECONDS)  # the import of torch
    assert [ThreadGuard(2, watch=watch).threads for _ in range(2)] == [1, 1]
    assert ThreadGuard(2, asked=True, watch=watch).threads == 2
    here.elsewhere = 0.0
    here.go_on(START_SECONDS)
    guard = ThreadGuard(2, watch=watch)
    assert (guard.threads, guard.notes) == (2, [])
    here.counts = False
    here.go_on(START_SECONDS)
    assert ThreadGuard(2, watch=watch).threads == 2


def test_threads_that_were_asked_for_are_left_alone() -> None:
    here = Machine()
    guard = here.guard(2, asked=True)
    assert said(guard, here, [2.0] * 4) == [None] * 4
    assert (guard.threads, guard.notes) == (2, [])


def test_guard_looks_no_more_often_than_it_must() -> None:
    here = Machine(elsewhere=0.9)
    guard = here.guard(2)
    heard = []
    for step in range(1, 100):
        here.go_on(LOOK_SECONDS / 8)
        heard += [(step, fewer)] if (fewer := guard.check(1)) else []
    assert heard == [(16, 1)]
    assert here.looks == 1 + 99 // 8


@pytest.fixture
def burners() -> Iterator[None]:
    """A busy program for each core, none of them a child of this process."""
    burn = "import time; end = time.monotonic() + 4\nwhile time.monotonic() < end: pass"
    start = f"""
import subprocess, sys
for _ in range({available_cores()}):
    print(subprocess.Popen([sys.executable, "-c", {burn!r}], stdout=subprocess.DEVNULL).pid)
"""
    started = subprocess.run(
        [sys.executable, "-c", start], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.split()
    yield
    for pid in map(int, started):
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            continue


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc/stat is Linux's")
@pytest.mark.usefixtures("burners")
def test_guard_on_this_machine() -> None:
    guard = ThreadGuard(max(2, available_cores()), watch=CoreWatch(look_seconds=0.5))
    heard = []
    for _ in range(3):
        time.sleep(0.6)
        heard.append(guard.check(1))
    assert any(heard)
    assert guard.threads == next(answer for answer in reversed(heard) if answer)
    assert guard.notes[-1].startswith("from epoch 1 on with 1 thread: other programs used ")
