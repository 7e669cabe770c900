from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cifar_lab import machine
from cifar_lab.machine import _cgroup_quota_cores, available_cores, git_state, processor_name, utc_now


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "50000 100000\n"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4.0),
        ({"cpu.max": "words\n"}, None),
        ({}, None),
    ],
)
def test_cgroup_quota(tmp_path: Path, files: dict[str, str], cores: float | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert _cgroup_quota_cores(tmp_path) == cores


@pytest.mark.parametrize(("quota", "cores"), [(None, 8), (1.9, 1), (0.5, 1), (3.0, 3), (64.0, 8)])
def test_the_quota_cuts_the_affinity_mask_and_rounds_down(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(machine, "_cgroup_quota_cores", lambda: quota)
    assert available_cores() == cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity mask on this system")
def test_a_process_bound_to_one_core_has_one() -> None:
    first = min(os.sched_getaffinity(0))
    code = (
        f"import os; os.sched_setaffinity(0, [{first}]); from cifar_lab.machine import available_cores as a; print(a())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"


def test_the_time_is_utc_whatever_the_zone() -> None:
    code = "from cifar_lab.machine import utc_now; print(utc_now())"
    here, there = (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "TZ": zone}
        ).stdout.strip()
        for zone in ("Pacific/Kiritimati", "UTC")
    )
    assert here[:13] <= there[:13] <= utc_now()[:13]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", here)


def test_the_processor_has_a_name_of_one_line() -> None:
    assert processor_name().strip()
    assert "\n" not in processor_name()


def test_git_state_of_a_checkout_and_of_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = git_state.__wrapped__
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    assert look() == (None, None)

    def git(*arguments: str) -> str:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        return subprocess.run(["git", *who, *arguments], check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    assert look() == (None, None)
    file = tmp_path / "file"
    file.write_text("one")
    git("add", "file")
    git("commit", "-qm", "one")
    commit = git("rev-parse", "HEAD")
    assert look() == (commit, False)
    (tmp_path / "untracked").write_text("")
    assert look() == (commit, False)
    file.write_text("two")
    assert look() == (commit, True)


def test_git_state_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state.__wrapped__() == (None, None)
