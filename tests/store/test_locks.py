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
from cifar_lab.store.writers import LOCK_NAME, writing

HOLD = """
import time
from pathlib import Path
from cifar_lab.store.locks import hold
with hold(Path("lock")):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_holder_is_named_and_free_at_once_when_it_is_killed(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        began = time.monotonic()
        with pytest.raises(HeldError) as refused, hold(lock, 60, trust_name=True):
            pass
        assert time.monotonic() - began < 1
        assert refused.value.holder.startswith(f"process {holder.pid} on {platform.node()} since 20")
        assert holder_of(lock) == refused.value.holder
        holder.kill()
        holder.wait()
        assert holder_of(lock) is None
        with hold(lock):
            assert lock.read_text().startswith(f"process {os.getpid()} on ")
    assert list(tmp_path.iterdir()) == []


def test_one_that_only_looks_delays_a_holder_and_does_not_refuse_it(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    with lock.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.1, fcntl.flock, (looking, fcntl.LOCK_UN)).start()
        with hold(lock, trust_name=True):
            assert is_held(lock)
            time.sleep(0.1)


def test_a_file_system_without_locks_can_be_read_and_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    lock = tmp_path / "lock"
    lock.touch()
    monkeypatch.setattr(fcntl, "flock", refuse)
    assert not is_held(lock)
    with pytest.raises(EnvironmentFault, match=r"cannot be locked \(No locks available\)"), hold(lock):
        pytest.fail("it was taken")
    (tmp_path / LOCK_NAME).touch()
    for _ in range(2):
        with pytest.raises(EnvironmentFault, match="cannot be locked"), writing(tmp_path) as writer:
            writer.take()
        (tmp_path / LOCK_NAME).unlink(missing_ok=True)


def test_a_lock_that_is_a_folder_is_held_by_nobody(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    assert not is_held(tmp_path / "lock")
