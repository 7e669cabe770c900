from __future__ import annotations

from cifar_lab.execution.watchdog import QUIET_SECONDS, START_SECONDS, AttemptWatchdog


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
