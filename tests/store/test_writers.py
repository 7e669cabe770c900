from __future__ import annotations

import fcntl
import os
import platform
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cifar_lab.core.errors import EnvironmentFault
from cifar_lab.store.documents import indexed, read_document, write_document
from cifar_lab.store.writers import LOCK_NAME, WriterLock, documents_lock, writing


def test_several_write_to_one_folder_and_the_last_removes_what_is_empty(tmp_path: Path) -> None:
    results = tmp_path / "results"
    first, second = WriterLock(results), WriterLock(results)
    first.look()
    first.take()
    second.look()
    second.take()
    assert (results / LOCK_NAME).read_text().startswith(f"process {os.getpid()} on {platform.node()} since 20")
    second.release()
    assert (results / LOCK_NAME).exists()
    first.release()
    assert not results.exists()


def test_a_version_that_writes_alone_keeps_others_out_and_is_kept_out(tmp_path: Path) -> None:
    with (tmp_path / LOCK_NAME).open("w+") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        alone.write("process 7 on node3 since 2026-01-01T00:00:00Z (sweep grid.yaml)")
        alone.flush()
        told = r"process 7 on node3 since .* is using this folder, and its version of cifar-lab writes alone; wait"
        with pytest.raises(EnvironmentFault, match=told), writing(tmp_path):
            pass
        fcntl.flock(alone, fcntl.LOCK_UN)
        with writing(tmp_path) as writer:
            writer.take()
            with pytest.raises(BlockingIOError):
                fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_text_of_a_lock_file_without_a_holder_is_ignored(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).write_text("process 1 on elsewhere since 2026-01-01T00:00:00Z (sweep)")
    with writing(tmp_path) as lock:
        lock.take()


def test_a_folder_is_kept_until_the_outermost_block_ends(tmp_path: Path) -> None:
    results = tmp_path / "results"
    with writing(results) as outer:
        assert not results.exists()
        with writing(tmp_path / "." / "results") as inner:
            inner.take()
        assert inner is outer
        assert (results / LOCK_NAME).exists()
        outer.take()
    assert not (results / LOCK_NAME).exists()


def test_who_has_nothing_to_write_changes_nothing(tmp_path: Path) -> None:
    before = tmp_path.stat().st_mtime_ns
    with writing(tmp_path):
        assert list(tmp_path.iterdir()) == []
    assert tmp_path.stat().st_mtime_ns == before


def test_commands_that_begin_and_end_together_never_meet_a_missing_folder(tmp_path: Path) -> None:
    def begin_and_end(_: int) -> None:
        lock = WriterLock(tmp_path / "results")
        lock.look()
        lock.take()
        lock.release()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(begin_and_end, range(200)))


def test_documents_that_are_read_and_replaced_under_the_lock_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "stopping" / "q1.json"
    write_document(tmp_path, path, {"looks": []})

    def add(number: int) -> None:
        with documents_lock(tmp_path):
            looks = read_document(path).values["looks"]
            time.sleep(0.001)
            write_document(tmp_path, path, {"looks": [*looks, number]})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    assert sorted(read_document(path).values["looks"]) == list(range(40))
    assert [entry.fault() for entry in indexed(tmp_path)] == [""]


def test_another_thread_waits_for_the_documents(tmp_path: Path) -> None:
    entered = threading.Event()

    def enter() -> None:
        with documents_lock(tmp_path):
            entered.set()

    with documents_lock(tmp_path), documents_lock(tmp_path):
        thread = threading.Thread(target=enter)
        thread.start()
        assert not entered.wait(0.2)
    thread.join(10)
    assert entered.is_set()
