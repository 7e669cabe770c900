from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from cifar_lab.config import Settings
from cifar_lab.execution.pull_queue import PullQueue
from cifar_lab.execution.tasks import Task
from cifar_lab.store.results import RunFolder
from cifar_lab.training.job import Job


def task(name: str, threads: int = 1, gpu: int | None = None) -> Task:
    return Task(((Job(Settings(label=name), 0, name, {}, "", Path("results"), True, threads),),), gpu=gpu)


A, B, C = (task(name) for name in "ABC")


def test_tasks_come_in_their_order_and_then_there_is_none() -> None:
    queue = PullQueue([A, B])
    assert [queue.take(wait=False) for _ in range(3)] == [A, B, None]
    queue.finished(A)
    queue.finished(B)
    assert queue.take(wait=True) is None


def test_what_is_given_back_is_the_next() -> None:
    queue = PullQueue([A, B])
    assert queue.take(wait=False) == A
    queue.give_back(A, alone=False)
    queue.finished(A)
    assert [queue.take(wait=False), queue.take(wait=False)] == [A, B]


def test_what_is_to_be_alone_waits_until_nothing_is_beside_it_and_keeps_the_others_waiting() -> None:
    queue = PullQueue([A, B, C])
    first, second = queue.take(wait=False), queue.take(wait=False)
    assert first == A
    queue.give_back(A, alone=True)
    queue.finished(A)
    assert queue.take(wait=False) == C
    queue.finished(C)
    assert queue.take(wait=False) is None, "B is under way"
    assert second == B
    queue.give_back(B, alone=True)
    queue.finished(B)
    assert queue.take(wait=False) == A
    assert queue.take(wait=False) is None, "A is to be alone"
    queue.finished(A)
    assert queue.take(wait=False) == B


@pytest.mark.parametrize("how", ["given back", "finished", "closed"])
def test_who_waits_is_woken(how: str) -> None:
    queue = PullQueue([A])
    assert queue.take(wait=True) == A
    taken: list[Task | None] = []
    waiting = threading.Thread(target=lambda: taken.append(queue.take(wait=True)))
    waiting.start()
    if how == "given back":
        queue.give_back(A, alone=True)
    if how == "closed":
        queue.close()
    else:
        queue.finished(A)
    waiting.join(5)
    assert taken == [A if how == "given back" else None]


def test_a_closed_queue_hands_out_nothing() -> None:
    queue = PullQueue([A, B])
    queue.close()
    assert queue.take(wait=True) is None


def test_concurrent_tasks_fit_the_cores() -> None:
    large, small, other, wide = task("large", 2), task("small"), task("other"), task("wide", 9)
    queue = PullQueue([small, large, other, wide], cores=2)
    assert queue.take(wait=False) == small
    assert queue.take(wait=False) is None, "the next task waits for two cores"
    queue.finished(small)
    assert queue.take(wait=False) == large
    assert queue.take(wait=False) is None
    queue.finished(large)
    assert queue.take(wait=False) == other
    assert queue.take(wait=False) is None
    queue.finished(other)
    assert queue.take(wait=False) == wide, "alone it may have more threads than there are cores"


def test_tasks_on_a_gpu_need_no_cores() -> None:
    queue = PullQueue([task("first", 2, gpu=0), task("second", 2, gpu=1)], cores=2)
    assert None not in [queue.take(wait=False), queue.take(wait=False)]


# --- runs that other commands hold ---


def job_in(results: Path, name: str) -> Task:
    run = replace(task(name).jobs[0], results=results)
    RunFolder(results, name).path.mkdir(parents=True)
    return Task(((run,),))


def test_a_held_task_comes_when_it_is_free_and_others_are_taken(tmp_path: Path) -> None:
    held, free = job_in(tmp_path, "held"), job_in(tmp_path, "free")
    queue = PullQueue([held, free], patient=True)
    with RunFolder(tmp_path, "held").lock():
        assert queue.take(wait=True) == held
        queue.hold_back(held)
        queue.finished(held)
        assert queue.take(wait=True) == free
        assert queue.take(wait=False) is None
        assert (queue.held, queue.awaits_others) == (held.jobs, False)
        queue.finished(free)
        assert queue.awaits_others
        taken: list[Task | None] = []
        waiting = threading.Thread(target=lambda: taken.append(queue.take(wait=True)))
        waiting.start()
    waiting.join(5)
    assert taken == [held]
    assert (queue.held, queue.awaits_others) == ([], False)


def test_a_queue_without_patience_ends_with_what_others_hold(tmp_path: Path) -> None:
    held = job_in(tmp_path, "held")
    queue = PullQueue([held])
    with RunFolder(tmp_path, "held").lock():
        assert queue.take(wait=True) == held
        queue.hold_back(held)
        queue.finished(held)
        assert queue.take(wait=True) is None
        assert queue.held == held.jobs
    assert queue.take(wait=True) == held, "it is free by now"


def test_a_stop_ends_the_wait_for_others(tmp_path: Path) -> None:
    held = job_in(tmp_path, "held")
    queue = PullQueue([], patient=True)
    queue.hold_back(held)
    with RunFolder(tmp_path, "held").lock():
        threading.Timer(0.1, queue.close).start()
        assert queue.take(wait=True) is None
        assert not queue.awaits_others
