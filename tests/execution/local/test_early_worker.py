"""Worker that starts before its command has planned: the supervisor that takes it, its messages, and its end."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from cifar_lab.core.errors import SettingsError
from cifar_lab.execution.local import early_worker as module
from cifar_lab.execution.local.early_worker import IMPORT, EarlyWorker, Launched, early_worker
from cifar_lab.execution.local.process import WorkerProcess
from cifar_lab.execution.local.worker_pool import WorkerPool
from cifar_lab.execution.protocol import decode_devices, encode_devices


def echo(threads: int, devices: str | None = None) -> Launched:
    """A process that returns its lines, in place of a worker."""
    process = subprocess.Popen(
        ["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", start_new_session=True
    )
    return Launched(process, tempfile.TemporaryFile(), threads)


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Launched]:
    """Processes that were started."""
    found: list[Launched] = []

    def launch(threads: int, devices: str | None = None) -> Launched:
        found.append(echo(threads, devices))
        return found[-1]

    monkeypatch.setattr(module, "launch", launch)
    return found


def said(launched: Launched) -> str:
    """All messages to a process."""
    launched.errors.close()
    return launched.process.communicate()[0]


@pytest.mark.parametrize(
    ("has_runs", "force", "imports"), [(False, False, True), (True, False, False), (True, True, True)]
)
def test_it_imports_torch_at_once_where_runs_are_surely_missing(
    has_runs: bool, force: bool, imports: bool, launched: list[Launched], tmp_path: Path
) -> None:
    if has_runs:
        (tmp_path / "runs" / "0123456789abcdef").mkdir(parents=True)
    with early_worker(tmp_path, begins=True, force=force) as first:
        taken = first.take(1)
    assert taken is not None
    assert said(taken) == (f"{IMPORT}\n" if imports else "")


def test_a_process_that_no_run_needed_is_ended(launched: list[Launched], tmp_path: Path) -> None:
    with early_worker(tmp_path, begins=True):
        pass
    with pytest.raises(SettingsError), early_worker(tmp_path, begins=True):
        raise SettingsError("refused")
    assert [each.process.returncode for each in launched] == [-9, -9]
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_makes_no_runs_starts_none(launched: list[Launched], tmp_path: Path) -> None:
    with early_worker(tmp_path, begins=False) as first:
        assert first.take(1) is None
    assert launched == []


def test_it_is_taken_once_and_by_runs_with_no_more_threads() -> None:
    first = EarlyWorker(echo(2))
    taken = first.take(1)
    assert taken is not None
    assert first.take(1) is None
    first.dismiss()
    assert said(taken) == ""
    small = echo(2)
    assert EarlyWorker(small).take(3) is None
    assert small.process.returncode == -9


def test_without_a_process_the_first_task_reports_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def launch(threads: int) -> Launched:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(module, "launch", launch)
    with early_worker(tmp_path, begins=True) as first:
        assert first.take(1) is None


def test_the_pool_uses_it_first_and_tells_it_its_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    early = echo(2)
    worker = WorkerPool(EarlyWorker(early)).take(1, 1)
    assert (worker.process, worker.threads, worker.gpu) == (early.process, 1, 1)
    assert decode_devices(said(early)) == "6"


@pytest.mark.slow
def test_a_refused_command_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("epochs: none\n", encoding="utf-8")
    command = [sys.executable, "-m", "cifar_lab", "run", "wrong.yaml"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE)
    process.communicate(timeout=60)
    assert process.returncode == 2
    assert workers_of(process.pid) == []
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.yaml"]


def workers_of(parent: int) -> list[int]:
    """Ids of the workers of a command."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"cifar_lab.execution.local.worker" in words and str(parent).encode() in words:
            found.append(int(folder.name))
    return found


@pytest.mark.slow
def test_a_worker_imports_torch_when_it_is_told_to_and_not_before() -> None:
    worker = WorkerProcess(threads=1)
    maps = Path(f"/proc/{worker.pid}/maps")
    try:
        worker.say(encode_devices(""))
        time.sleep(2)
        assert b"libtorch" not in maps.read_bytes()
        worker.say(IMPORT)
        deadline = time.monotonic() + 60
        while b"libtorch" not in maps.read_bytes():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        worker.close()
