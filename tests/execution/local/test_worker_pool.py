"""Workers that are kept between the steps of a command."""

from __future__ import annotations

import threading

from cifar_lab.execution.local.process import WorkerProcess
from cifar_lab.execution.local.worker_pool import WorkerPool


def taken_in_a_thread(pool: WorkerPool, threads: int = 1) -> WorkerProcess:
    """A worker that a supervisor takes, whose thread then ends."""
    found: list[WorkerProcess] = []
    thread = threading.Thread(target=lambda: found.append(pool.take(threads, None)))
    thread.start()
    thread.join()
    return found[0]


def test_a_worker_is_kept_for_the_next_step_and_closed_after_the_last() -> None:
    pool = WorkerPool()
    with pool.keeping():
        first = taken_in_a_thread(pool)
        pool.give_back(first)
        assert first.process.poll() is None
        with pool.keeping():
            assert taken_in_a_thread(pool) is first
            pool.give_back(first)
        assert first.process.poll() is None
    assert first.process.poll() is not None


def test_a_worker_with_other_threads_or_a_dead_one_is_replaced() -> None:
    pool = WorkerPool()
    with pool.keeping():
        first = taken_in_a_thread(pool)
        pool.give_back(first)
        other = taken_in_a_thread(pool, threads=2)
        assert (other.threads, first.process.poll() is None) == (2, False)
        pool.give_back(other)
        other.kill()
        other.process.wait()
        third = taken_in_a_thread(pool, threads=2)
        assert third is not other
        pool.give_back(third)
        pool.close_idle()
        assert third.process.poll() is not None


def test_without_a_next_step_no_worker_is_kept() -> None:
    pool = WorkerPool()
    worker = pool.take(1, None)
    pool.give_back(worker)
    assert worker.process.poll() is not None
