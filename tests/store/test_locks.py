from __future__ import annotations

import errno
import fcntl
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cifar_lab.core.errors import EnvironmentFault
from cifar_lab.store.locks import HeldError, hold, holder_of, is_held
from cifar_lab.store.writers import LOCK_NAME, WriterLock, documents_lock, writing

HOLD = """
import sys, time
from pathlib import Path
from cifar_lab.store.locks import one_writer
sys.argv = ["/bin/cifar-lab", "sweep", "my grid.yaml"]
with one_writer(Path("results")) as lock:
    lock.take()
    print("held", flush=True)
    time.sleep(60)
"""


def test_another_process_is_told_who_writes_and_may_when_that_one_is_killed(tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    with subprocess.Popen([sys.executable, "-c", HOLD], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        began = time.monotonic()
        with pytest.raises(EnvironmentFault) as refused, one_writer(results):
            pass
        assert time.monotonic() - began < 1
        said = str(refused.value)
        assert said.startswith(f"{results}: process {holder.pid} on {platform.node()} since 20")
        assert (
            "Z (cifar-lab sweep 'my grid.yaml') is using this folder; wait for it, end it, or choose another folder"
            in said
        )
        holder.kill()
        with one_writer(results) as lock:
            lock.take()
            assert (results / LOCK_NAME).read_text().startswith(f"process {os.getpid()} on ")
    assert list(results.iterdir()) == []


def test_what_stands_in_a_file_that_nobody_holds_means_nothing(tmp_path: Path) -> None:
    """Its process id may be another program's by now, this very one's even."""
    (tmp_path / LOCK_NAME).write_text(f"process {os.getpid()} on {platform.node()} since 2026-01-01T00:00:00Z (sweep)")
    for _ in range(2):
        with one_writer(tmp_path) as lock:
            lock.take()


def test_a_folder_is_held_until_the_outermost_block_ends(tmp_path: Path) -> None:
    results = tmp_path / "results"
    with one_writer(results) as outer:
        assert not results.exists()
        with one_writer(tmp_path / "." / "results") as inner:
            inner.take()
        assert inner is outer
        assert (results / LOCK_NAME).exists()
        outer.take()
    assert not (results / LOCK_NAME).exists()


def test_another_thread_is_another_writer(tmp_path: Path) -> None:
    refused: list[str] = []

    def write() -> None:
        try:
            with one_writer(tmp_path) as lock:
                lock.take()
        except EnvironmentFault as fault:
            refused.append(str(fault))

    with one_writer(tmp_path) as lock:
        lock.take()
        thread = threading.Thread(target=write)
        thread.start()
        thread.join(10)
    assert len(refused) == 1
    assert f"process {os.getpid()} on " in refused[0]


def test_who_has_nothing_to_write_changes_nothing(tmp_path: Path) -> None:
    before = tmp_path.stat().st_mtime_ns
    with one_writer(tmp_path):
        assert list(tmp_path.iterdir()) == []
    assert tmp_path.stat().st_mtime_ns == before


def test_of_two_that_look_at_once_the_first_to_write_wins(tmp_path: Path) -> None:
    lock = WriterLock(tmp_path)
    other = WriterLock(tmp_path)
    lock.look()
    other.look()
    lock.take()
    with pytest.raises(EnvironmentFault, match=f"process {os.getpid()} on "):
        other.take()
    lock.release()
    other.take()
    other.release()
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks_can_be_read_and_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    lock = tmp_path / "lock"
    lock.touch()
    monkeypatch.setattr(fcntl, "flock", refuse)
    assert not is_held(lock)
    (tmp_path / LOCK_NAME).touch()
    for action in (hold(lock), one_writer(tmp_path)):
        with pytest.raises(EnvironmentFault, match=r"cannot be locked \(No locks available\)"), action:
            pytest.fail("it was taken")
    (tmp_path / LOCK_NAME).unlink()
    with pytest.raises(EnvironmentFault, match="cannot be locked"), one_writer(tmp_path) as writer:
        writer.take()


def test_a_lock_that_is_a_folder_is_held_by_nobody(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    assert not is_held(tmp_path / "lock")
