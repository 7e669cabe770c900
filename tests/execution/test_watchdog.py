from __future__ import annotations

from pathlib import Path

import pytest

from cifar_lab.execution.local.worker import offer_to_the_oom_killer
from cifar_lab.execution.watchdog import (
    QUIET_SECONDS,
    RECENT_SECONDS,
    START_SECONDS,
    AttemptWatchdog,
    OomWatch,
    oom_kills,
)


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_run_is_late_when_it_has_been_under_way_for_too_long() -> None:
    time = Time()
    clock = AttemptWatchdog(["a", "b"], time)
    clock.heard("a", ended=False)
    time.now += 10
    clock.heard("a", ended=False)
    assert (clock.late(10), clock.late(9)) == (set(), {"a"})
    assert clock.running() == {"a"}


def test_a_run_that_waits_for_others_of_its_task_is_not_late() -> None:
    time = Time()
    clock = AttemptWatchdog(["a", "b"], time)
    clock.heard("a", ended=False)
    time.now += 8
    clock.heard("a", ended=True)
    clock.heard("b", ended=False)
    time.now += 8
    assert clock.late(9) == set()
    time.now += 2
    assert clock.late(9) == {"b"}


def test_where_none_begins_all_that_are_left_are_late() -> None:
    time = Time()
    clock = AttemptWatchdog(["a", "b", "c"], time)
    time.now += 10 + START_SECONDS
    assert clock.late(10) == set()
    time.now += 1
    assert clock.late(10) == {"a", "b", "c"} == clock.running()
    clock.heard("a", ended=True)
    assert clock.late(10) == set()
    time.now += 11
    assert clock.late(10) == {"b", "c"}


def test_silence_is_told_each_time_that_it_has_doubled() -> None:
    time = Time()
    clock = AttemptWatchdog(["a"], time)
    told = []
    for _ in range(10 * int(QUIET_SECONDS)):
        time.now += 1
        if (quiet := clock.quiet_seconds()) is not None:
            told.append(quiet)
    assert told == [QUIET_SECONDS, 2 * QUIET_SECONDS, 4 * QUIET_SECONDS, 8 * QUIET_SECONDS]
    clock.heard("a", ended=False)
    assert clock.quiet_seconds() is None
    time.now += QUIET_SECONDS
    assert clock.quiet_seconds() == QUIET_SECONDS


V2 = "0::/user.slice/lab\n"
V1 = "9:name=systemd:/\n4:memory,hugetlb:/job\n0::/\n"


@pytest.mark.parametrize(
    ("cgroup", "files", "count"),
    [
        (V2, {"cg/user.slice/lab/memory.events": "low 0\noom 4\noom_kill 3\noom_group_kill 0\n"}, 3),
        (V2, {"cg/unified/user.slice/lab/memory.events": "oom_kill 5\n", "proc/vmstat": "oom_kill 9\n"}, 5),
        (V1, {"cg/memory/job/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"}, 2),
        (V1, {"proc/vmstat": "pgfault 12\noom_kill 7\ndrop_slab 0\n"}, 7),
        ("", {"proc/vmstat": "pgfault 12\n"}, 0),
        ("", {}, 0),
    ],
)
def test_the_counter_of_the_own_group_comes_before_the_machines(
    tmp_path: Path, cgroup: str, files: dict[str, str], count: int
) -> None:
    for name, content in {"proc/self/cgroup": cgroup, **files}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert oom_kills(tmp_path / "proc", tmp_path / "cg") == count


class Kernel:
    """A counter and a clock that a test moves."""

    def __init__(self) -> None:
        self.kills, self.now = 0, 0.0

    def watch(self) -> OomWatch:
        return OomWatch(lambda: self.kills, lambda: self.now)


def test_each_kill_explains_one_death() -> None:
    kernel = Kernel()
    kernel.kills = 10
    watch = kernel.watch()
    assert not watch.struck()
    kernel.kills = 12
    assert [watch.struck() for _ in range(3)] == [True, True, False]


def test_a_kill_of_long_ago_explains_nothing() -> None:
    kernel = Kernel()
    watch = kernel.watch()
    kernel.kills = 1
    for _ in range(10):
        kernel.now += RECENT_SECONDS / 2
        watch.look()
    assert not watch.struck()


def test_a_kill_counts_though_it_was_looked_at_before_the_death_was_seen() -> None:
    kernel = Kernel()
    watch = kernel.watch()
    for _ in range(10):
        kernel.now += RECENT_SECONDS / 2
        watch.look()
    kernel.kills = 1
    kernel.now += RECENT_SECONDS / 2
    watch.look()
    assert [watch.struck(), watch.struck()] == [True, False]
    kernel.kills = 2
    assert [watch.struck(), watch.struck()] == [True, False]


@pytest.mark.parametrize(("before", "after"), [("0", "500"), ("-900", "-400"), ("800", "1000")])
def test_a_worker_is_taken_before_its_parent(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "oom_score_adj"
    path.write_text(before + "\n")
    offer_to_the_oom_killer(path)
    assert path.read_text() == after
    offer_to_the_oom_killer(tmp_path / "none")
