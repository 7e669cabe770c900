"""How many threads a run gets, what OpenMP is told, and when a run goes on with fewer."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from cifar_lab.config.io.load import settings_from
from cifar_lab.config.registry import BUILT_IN_MODELS, MODEL_FACTS
from cifar_lab.core import host as machine
from cifar_lab.core.host import CoreUse, available_cores
from cifar_lab.training.threads import (
    KEEP_FREED_MEMORY,
    LARGE_PARAMETERS,
    LOOK_SECONDS,
    ThreadGuard,
    choose_threads,
    least_threads,
    openmp_environment,
    thread_limit,
    torch_threads,
    usable_cores,
)


@pytest.mark.parametrize("model", [*sorted(MODEL_FACTS), "model.py:Own"])
def test_runs_side_by_side_never_have_more_threads_than_there_are_cores(model: str) -> None:
    assert set(MODEL_FACTS) == set(BUILT_IN_MODELS)
    settings = settings_from({"model": {"name": model}})
    for cores in range(1, 9):
        room = cores // least_threads(settings, cores)
        for side_by_side in range(1, room + 1):
            together = side_by_side * choose_threads(settings, cores, side_by_side)
            assert side_by_side <= together <= cores


@pytest.mark.parametrize("model", sorted(MODEL_FACTS))
def test_torch_threads_follow_from_the_size_of_the_network(model: str) -> None:
    settings = settings_from({"model": {"name": model}})
    expected = 8 if MODEL_FACTS[model].parameters >= LARGE_PARAMETERS else 1
    assert torch_threads(settings, 8) == expected
    assert least_threads(settings, 8) == expected
    assert torch_threads(settings_from({"model": {"name": model}, "runtime": {"threads": 3}}), 3) == 3


@pytest.mark.parametrize(("limit", "expected"), [(1, 1), (3, 3), (8, 8), (64, 8), (None, 8)])
def test_a_person_can_only_lower_the_choice(limit: int | None, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert usable_cores(8, limit) == expected


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        ("4", 4),
        (" 4 ", 4),
        ("4,2,1", 4),
        ("1", 1),
        ("0", None),
        ("-2", None),
        ("many", None),
        ("", None),
        ("1.5", None),
    ],
)
def test_limit(value: str, limit: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert thread_limit({"OMP_NUM_THREADS": value}) == limit
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert thread_limit() == limit
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert thread_limit() is None


PERSON = {
    "HOME": "/h",
    "OMP_NUM_THREADS": "7",
    "OMP_WAIT_POLICY": "ACTIVE",
    "KMP_BLOCKTIME": "0",
    "GOMP_SPINCOUNT": "9",
}


@pytest.mark.parametrize(
    ("threads", "expected"),
    [
        (1, {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}),
        (2, {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "1"}),
    ],
)
def test_environment(threads: int, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(PERSON)
    assert openmp_environment(threads, PERSON) == {"HOME": "/h", **KEEP_FREED_MEMORY, **expected}
    assert openmp_environment(threads, {"MALLOC_TRIM_THRESHOLD_": "0"})["MALLOC_TRIM_THRESHOLD_"] == "0"
    assert before == PERSON
    monkeypatch.setenv("CIFAR_LAB_OF_THIS_PROCESS", "here")
    assert openmp_environment(threads)["CIFAR_LAB_OF_THIS_PROCESS"] == "here"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="torch has GNU OpenMP on Linux")
@pytest.mark.parametrize(("threads", "policy", "spins"), [(1, "PASSIVE", "0"), (2, "PASSIVE", "10000")])
def test_openmp_itself_hears_it(threads: int, policy: str, spins: str) -> None:
    """GNU OpenMP calls PASSIVE whatever is not ACTIVE; the rounds that it waits tell the two apart."""
    environment = {**openmp_environment(threads, {**os.environ, **PERSON}), "OMP_DISPLAY_ENV": "VERBOSE"}
    code = "import torch; print(torch.get_num_threads())"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{threads}\n"
    said = {line.strip() for line in done.stderr.splitlines()}
    assert {f"OMP_WAIT_POLICY = '{policy}'", f"GOMP_SPINCOUNT = '{spins}'"} <= said


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is another")
def test_memory_that_a_step_freed_is_there_for_the_next() -> None:
    """A process by itself gives a freed block of 20 MB back to the system at once."""
    code = (
        "import os, torch\n"
        "pages = lambda: int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE')\n"
        "before = pages(); block = torch.ones(5_000_000); del block; print(pages() - before)"
    )
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout)
        for environment in (openmp_environment(1, plain), plain)
    )
    assert given_back < 5_000_000 < 15_000_000 < kept


@dataclass
class Machine:
    """A made-up machine of which one can say how many cores others use from now on."""

    cores: int = 2
    elsewhere: float = 0.0
    seconds: float = 100.0
    worked: float = 0.0
    looks: int = 0
    counts: bool = True
    """Whether it tells what its cores did."""

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
        return ThreadGuard(threads, asked=asked, look=self.look, clock=self.clock)


@pytest.fixture(autouse=True)
def many_cores(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """No quota of the machine that tests run on cuts the made-up ones."""
    if "burners" not in request.fixturenames:
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
        monkeypatch.setattr(machine, "_cgroup_quota_cores", lambda: None)


def said(guard: ThreadGuard, here: Machine, elsewhere: Sequence[float | None]) -> list[int | None]:
    """What the guard says after each stretch of LOOK_SECONDS in which others use so many cores; None: not counted."""
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
        (2, 2, [0.3, 0.3, 0.0, 0.0], [None, 1, None, None],
         "from epoch 2 on with 1 thread: other programs used 0.3 of 2 cores"),
        (2, 4, [2.0, 2.2, 2.2], [None] * 3, None),
        (2, 4, [3.9, 2.5], [None, 1], "from epoch 2 on with 1 thread: other programs used 2.5 of 4 cores"),
        (8, 8, [1.0, 3.0], [None, 7], "from epoch 2 on with 7 threads: other programs used 1.0 of 8 cores"),
        (4, 2, [0.0, 0.1, 0.0], [None] * 3, None),
        (2, 2, [0.9, None, None, 0.9, 0.9], [None, None, None, None, 1],
         "from epoch 5 on with 1 thread: other programs used 0.9 of 2 cores"),
        (1, 2, [2.0, 2.0, 2.0], [None] * 3, None),
    ],
    ids=["idle", "busy", "busy for a moment", "idle again", "enough cores", "too few", "the milder look counts",
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
    assert here.looks == 3


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
    guard = ThreadGuard(max(2, available_cores()), look_seconds=0.5)
    heard = []
    for _ in range(3):
        time.sleep(0.6)
        heard.append(guard.check(1))
    assert any(heard)
    assert guard.threads == next(answer for answer in reversed(heard) if answer)
    assert guard.notes[-1].startswith("from epoch 1 on with 1 thread: other programs used ")
