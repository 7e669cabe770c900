from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cifar_lab.core import host as machine
from cifar_lab.core.host import (
    LEAST_LOOK_SECONDS,
    CoreUse,
    _cgroup_quota_cores,
    available_cores,
    available_memory,
    git_state,
    gpu_names,
    processor_name,
    utc_now,
)

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc/stat is Linux's")

BURN = "import time; end = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass"


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
        f"import os; os.sched_setaffinity(0, [{first}]); "
        "from cifar_lab.core.host import available_cores; print(available_cores())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"


def proc(root: Path, cores: Sequence[Sequence[int]], own: Sequence[int] = (0, 0, 0, 0)) -> None:
    """A proc folder with user, nice, system, idle, iowait, irq, softirq and steal of each core and our own times."""
    lines = [f"cpu{number} {' '.join(map(str, ticks))} 7 7" for number, ticks in enumerate(cores)]
    (root / "stat").write_text("\n".join(["cpu  1 2 3", *lines, "intr 5 0 0", "ctxt 12", ""]))
    process(root / "self", own)


def process(folder: Path, own: Sequence[int], children: str = "") -> None:
    """A process with utime, stime, cutime and cstime, one thread and its children."""
    (folder / "task" / "1").mkdir(parents=True, exist_ok=True)
    (folder / "stat").write_text(f"1 (a) b) S {' '.join(['9'] * 10)} {' '.join(map(str, own))} 20 0 1")
    (folder / "task" / "1" / "children").write_text(children)


@pytest.fixture
def hundred_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cores, of whose ticks a second has a hundred."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_CLK_TCK": 100}[name])
    monkeypatch.setattr(machine, "_cgroup_quota_cores", lambda: None)


def both(root: Path, cores: Sequence[Sequence[int]], own: Sequence[int] = (0, 0, 0, 0)) -> tuple[CoreUse, CoreUse]:
    """A moment at which nothing has been counted, and one two seconds later."""
    proc(root, [[0] * 8] * len(cores))
    before = CoreUse.now(root)
    proc(root, cores, own)
    return before, replace(CoreUse.now(root), seconds=before.seconds + 2)


@pytest.mark.usefixtures("hundred_ticks")
@pytest.mark.parametrize(
    ("cores", "own", "elsewhere"),
    [
        ([[0, 0, 0, 200, 0, 0, 0, 0], [0, 0, 0, 200, 0, 0, 0, 0]], (0, 0, 0, 0), 0.0),
        ([[200, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 200, 0, 0, 0, 0]], (0, 0, 0, 0), 1.0),
        ([[10, 20, 30, 200, 0, 40, 50, 60], [0, 0, 0, 150, 50, 0, 0, 0]], (0, 0, 0, 0), 1.05),
        ([[200, 0, 0, 0, 0, 0, 0, 0], [100, 0, 50, 50, 0, 0, 0, 0]], (150, 50, 0, 0), 0.75),
        ([[200, 0, 0, 0, 0, 0, 0, 0], [100, 0, 50, 50, 0, 0, 0, 0]], (150, 50, 70, 30), 0.25),
        ([[0, 0, 0, 200, 0, 0, 0, 0], [0, 0, 0, 200, 0, 0, 0, 0]], (1, 1, 0, 0), 0.0),
        ([[200, 0, 0, 0, 0, 0, 0, 0], [200, 0, 0, 9, 0, 0, 0, 0], [200, 0, 0, 0, 0, 0, 0, 0]], (0, 0, 0, 0), 2.0),
        ([[202, 0, 0, 0, 0, 0, 0, 0], [201, 0, 0, 0, 0, 0, 0, 0]], (0, 0, 0, 0), 2.0),
    ],
    ids=["idle", "one busy", "all kinds of work", "ours", "and of ended children", "a tick", "a core not ours", "full"],
)
def test_what_others_use_is_what_our_cores_worked_less_our_own(
    tmp_path: Path, cores: Sequence[Sequence[int]], own: Sequence[int], elsewhere: float
) -> None:
    before, later = both(tmp_path, cores, own)
    assert before.busy_elsewhere(later) == pytest.approx(elsewhere)
    assert before.free_cores(later) == pytest.approx(2 - elsewhere)


@pytest.mark.usefixtures("hundred_ticks")
def test_processes_below_this_one_are_its_own(tmp_path: Path) -> None:
    before, _ = both(tmp_path, [[0, 0, 0, 0, 0, 0, 0, 0]] * 2)
    proc(tmp_path, [[200, 0, 0, 0, 0, 0, 0, 0], [150, 0, 0, 50, 0, 0, 0, 0]])
    process(tmp_path / "self", (100, 0, 0, 0), children="11 12 ")
    process(tmp_path / "11", (50, 20, 0, 0), children="13 ")
    process(tmp_path / "13", (5, 5, 40, 0))
    later = replace(CoreUse.now(tmp_path), seconds=before.seconds + 2)  # 12 has just ended
    assert before.busy_elsewhere(later) == pytest.approx((350 - 100 - 70 - 50) / 200)


@pytest.mark.usefixtures("hundred_ticks")
def test_a_quota_leaves_no_more_than_it_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_cgroup_quota_cores", lambda: 1.0)
    before, later = both(tmp_path, [[100, 0, 0, 100, 0, 0, 0, 0], [0, 0, 0, 200, 0, 0, 0, 0]])
    assert (before.busy_elsewhere(later), before.free_cores(later)) == (0.5, 1.0)


@pytest.mark.usefixtures("hundred_ticks")
def test_what_is_not_counted_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = CoreUse.now(tmp_path / "none")
    assert nothing.busy_elsewhere(replace(nothing, seconds=nothing.seconds + 2)) is None
    before, later = both(tmp_path, [[200, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 200, 0, 0, 0, 0]])
    assert before.busy_elsewhere(later) == 1.0
    assert before.busy_elsewhere(replace(later, seconds=before.seconds + LEAST_LOOK_SECONDS * 0.99)) is None
    assert before.busy_elsewhere(before) is None
    assert before.busy_elsewhere(nothing) is None
    assert nothing.busy_elsewhere(later) is None
    zeros = both(tmp_path, [[0] * 8] * 2)
    assert (zeros[0].busy_elsewhere(zeros[1]), zeros[0].free_cores(zeros[1])) == (None, None)
    old = both(tmp_path, [[200, 0, 0, 0]] * 2)  # as Linux 2.4 counted
    assert old[0].busy_elsewhere(old[1]) is None
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 7})  # a container that numbers its cores anew
    renumbered = both(tmp_path, [[200, 0, 0, 0, 0, 0, 0, 0]] * 2)
    assert renumbered[0].busy_elsewhere(renumbered[1]) is None


@pytest.mark.slow
@LINUX
def test_a_busy_program_is_seen_whoever_else_is_there() -> None:
    """Bound to one core, which it keeps busy, alone or not. Whoever started it has ended: it is no child of ours."""
    first = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, [{first}]); {BURN.format(seconds=3)}"
    subprocess.run(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {code!r}])"],
        check=True,
    )
    time.sleep(0.5)
    before = CoreUse.now()
    time.sleep(1)
    elsewhere = before.busy_elsewhere(CoreUse.now())
    assert elsewhere is not None
    assert elsewhere > 0.5


@pytest.mark.slow
@LINUX
def test_our_own_processes_are_not_counted_as_others() -> None:
    """What ours and others use together is never more than the cores."""
    cores = len(os.sched_getaffinity(0))
    burners = [subprocess.Popen([sys.executable, "-c", BURN.format(seconds=3)]) for _ in range(cores)]
    time.sleep(0.5)
    before = CoreUse.now()
    time.sleep(1)
    later = CoreUse.now()
    for burner in burners:
        burner.kill()
        burner.wait()
    ours, elsewhere = later.own_seconds - before.own_seconds, before.busy_elsewhere(later)
    assert elsewhere is not None
    assert ours > 0.2
    assert ours / (later.seconds - before.seconds) + elsewhere < cores + 0.1


def test_the_time_is_utc_whatever_the_zone() -> None:
    code = "from cifar_lab.core.host import utc_now; print(utc_now())"
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


def test_the_machine_tells_its_memory_and_gpus(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   2048 kB\n")
    card = tmp_path / "driver" / "nvidia" / "gpus" / "0000:01:00.0"
    card.mkdir(parents=True)
    (card / "information").write_text("Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 12\n")
    assert (available_memory(tmp_path), gpu_names(tmp_path)) == (2_097_152, ["NVIDIA H100 80GB HBM3"])
    assert (available_memory(tmp_path / "none"), gpu_names(tmp_path / "none")) == (None, [])
