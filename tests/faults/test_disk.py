"""Disks that are full, folders that cannot be written, and results that vanish. The real command, on real mounts where
this machine allows them, else under the limits that it does allow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cifar_lab import data
from cifar_lab.core.errors import EnvironmentFault
from cifar_lab.training.events import EpochCompleted, Event

from .forks import in_fork
from .registry import Case, case

NOBODY = 65534


def namespace(*needed: str) -> list[str]:
    """Words before a command that give it mounts of its own; none where this machine has none to give."""
    for words in (["unshare", "-m"], ["unshare", "-rm"]):
        probe = [*words, "sh", "-c", "mount -t tmpfs none /mnt"]
        if shutil.which("unshare") and subprocess.run(probe, capture_output=True).returncode == 0:
            return words
    return []


def shell(lab: Any, script: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A shell script in the laboratory's folder, in which `lab` is the command."""
    command = f'lab() {{ "{sys.executable}" -m cifar_lab "$@"; }}; set -e\n{script}'
    return subprocess.run(
        [*words, "bash", "-c", command], cwd=lab.folder, capture_output=True, text=True, timeout=120,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


FILL = """
mkdir results
mount -t tmpfs -o size=400k none results
code=0; lab run arm.yaml || code=$?; echo "first ended with $code"
lab list
mount -o remount,size=20m results
lab run arm.yaml 2>&1
lab verify
"""

LIMIT = """
code=0; (ulimit -S -f 100; lab run arm.yaml) || code=$?; echo "first ended with $code"
lab list
lab run arm.yaml 2>&1
lab verify
"""


@pytest.mark.slow
@case(
    8,
    "the disk of the results is full in mid-run",
    remains="what was written before; `list` and `verify` read it; once there is space, the same command goes on",
    says="failed {arm} · seed {seed}: results/runs/{run}/{file}: cannot be written ({reason} for {bytes} bytes); "
    "free space or choose another folder with --results, then run the same command again",
    code=4,
)
def test_a_full_disk_ends_the_run_with_4_and_loses_nothing(lab: Any, case: Case) -> None:
    words = namespace()
    lab.file("arm", "epochs=1")
    lab.job(lab.settings("epochs=1"))
    lab.results.rmdir()
    done = shell(lab, FILL if words else LIMIT, *words)
    first, _, rest = done.stdout.partition("first ended with ")
    assert done.returncode == 0, done.stdout + done.stderr
    told = case.pattern(reason="No space left on device" if words else "File too large") if words else None
    assert rest.startswith(f"{case.code}\n"), done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    if told is not None:
        assert told.search(first), first
    else:
        assert "File too large" in first
    assert "arm · seed 0: done" in rest
    assert "1 run, " in rest
    assert ": none damaged" in rest


READ_ONLY = """
mkdir -p results
mount --bind results results
mount -o remount,ro,bind results
lab run arm.yaml
"""

FOREIGN = """
lab run arm.yaml --results /proc/results
"""
"""A file system that takes no folder from anybody, for machines that give no mounts."""


@pytest.mark.slow
@case(
    9,
    "the results folder is on a disk that is read-only",
    remains="nothing new",
    says="results: cannot be written (Read-only file system); free space or choose another folder with --results, "
    "then run the same command again",
    code=4,
)
def test_a_read_only_disk_is_named(lab: Any, case: Case) -> None:
    words = namespace()
    lab.file("arm", "epochs=1")
    done = shell(lab, READ_ONLY if words else FOREIGN, *words)
    told = done.stdout + done.stderr
    if words:
        case.check(told, done.returncode)
        assert list(lab.results.iterdir()) == []
    else:
        assert (done.returncode, "cannot be written" in told, "Traceback" in told) == (4, True, False)


@case(
    9,
    "the results folder belongs to another user",
    remains="nothing new",
    says="results{below}: cannot be written (Permission denied); free space or choose another folder with --results, "
    "then run the same command again",
    code=4,
)
def test_a_folder_of_another_user_is_named(lab: Any, case: Case) -> None:
    lab.make(lab.job(lab.settings(), results="elsewhere"))  # imports all that a run needs
    with tempfile.TemporaryDirectory() as name:
        results = Path(name) / "results"
        results.mkdir(mode=0o555)
        Path(name).chmod(0o755)
        job = replace(lab.job(lab.settings(), seed=1), results=results)
        code, told = as_another_user(lambda: lab.make(job))
        case.check(told, code)
        assert list(results.iterdir()) == []


def as_another_user(action: Callable[[], object]) -> tuple[int, str]:
    """As `in_fork`, in one that is not root, whom modes do not stop."""

    def changed() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        action()

    return in_fork(changed)


@case(
    9,
    "a file stands where the results folder should be",
    remains="the file as it was",
    says="results: cannot be written (File exists); free space or choose another folder with --results, then run the "
    "same command again",
    code=4,
)
def test_a_file_in_the_place_of_the_results_is_named(lab: Any, case: Case) -> None:
    (lab.folder / "results").write_text("mine")
    code, told, wrong = lab.command("run", lab.file("arm", "epochs=1"))
    case.check(told + wrong, code)
    assert (lab.folder / "results").read_text() == "mine"


@case(
    10,
    "the results folder is deleted while a run is under way",
    remains="nothing: it is not made again half empty",
    says="{path}: cannot be written (No such file or directory); free space or choose another folder with --results, "
    "then run the same command again",
)
def test_results_deleted_in_mid_run_are_noticed_at_the_next_write(lab: Any, case: Case) -> None:
    first, second = lab.job(lab.settings(), seed=0), lab.job(lab.settings(), seed=1)

    def delete(event: Event) -> None:
        if isinstance(event, EpochCompleted):
            shutil.rmtree(lab.results)

    for job, tell in ((first, delete), (second, lambda event: None)):
        with pytest.raises(EnvironmentFault) as caught:
            lab.make(job, tell)
        case.check(str(caught.value))
        assert not lab.results.exists()


@case(
    10,
    "a run's folder is replaced by a file while the run is under way",
    remains="the file as it is",
    says="{path}: cannot be written (Not a directory); free space or choose another folder with --results, then run "
    "the same command again",
)
def test_a_file_in_the_place_of_a_run_is_left_alone(lab: Any, case: Case) -> None:
    job = lab.job(lab.settings())
    folder = lab.run_folder(job)

    def put_file(event: Event) -> None:
        if isinstance(event, EpochCompleted):
            shutil.rmtree(folder.path)
            folder.path.write_text("mine")

    with pytest.raises(EnvironmentFault) as caught:
        lab.make(job, put_file)
    case.check(str(caught.value))
    assert folder.path.read_text() == "mine"


@pytest.mark.slow
@case(
    8,
    "the disk of the prepared images is full",
    remains="no half folder of images; the next command prepares them",
    says="{folder}: File too large; make it readable and writable, or set CIFAR_LAB_CACHE to another folder for "
    "prepared images",
    code=4,
)
def test_images_that_find_no_place_leave_nothing_behind(lab: Any, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = lab.folder / "cache"
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(cache))
    lab.file("arm", "epochs=1")
    done = shell(lab, "(ulimit -S -f 100; lab run arm.yaml)")
    case.check(done.stdout + done.stderr, done.returncode)
    assert [path.suffix for path in cache.iterdir()] == [".lock"]
    assert not (lab.folder / "results" / "runs").exists()
    data.prepare(lab.settings().data)
