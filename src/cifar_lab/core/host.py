"""What this machine is, told without torch: cores that may be used, the clock, the state of the checkout."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

LEAST_LOOK_SECONDS = 0.2
"""Shortest interval over which `CoreUse` tells anything: Linux counts in ticks of 10 ms, one more or less a core."""


def available_cores() -> int:
    """Cores this process may use: the affinity mask, cut by the cgroup's CPU quota (rounded down, at least 1)."""
    cores = len(_affinity()) or os.cpu_count() or 1
    quota = _cgroup_quota_cores()
    return max(1, min(cores, int(quota)) if quota is not None else cores)


def _affinity() -> frozenset[int]:
    """Numbers of the cores that this process may run on; none where the system does not tell."""
    return frozenset(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ())


def _cgroup_quota_cores(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """The CPU quota of cgroup v2 or v1 in cores; None without one."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        micros = int((root / "cpu/cpu.cfs_quota_us").read_text())
        return None if micros <= 0 else micros / int((root / "cpu/cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None


@dataclass(frozen=True)
class CoreUse:
    """How much the cores that this process may run on had worked at one moment; two moments tell for whom.

    Counted as in proc(5), /proc/stat and /proc/PID/stat. Time that the host of a virtual machine took away (steal) is
    work for others.
    """

    seconds: float
    """Of `time.monotonic`."""
    cores: frozenset[int]
    """Numbers of the cores; none where the system does not tell what they did."""
    worked_seconds: float
    """Core-seconds that were not idle, for whomever."""
    counted_seconds: float
    """Core-seconds in all; a sandbox that counts nothing leaves it where it is."""
    own_seconds: float
    """Core-seconds of this process, all its threads and all processes below it."""

    @classmethod
    def now(cls, root: Path = Path("/proc")) -> CoreUse:
        """This moment, from `root`, a mounted proc file system."""
        cores, seconds = _affinity(), time.monotonic()
        ticks = _ticks_by_core(root)
        if not cores <= ticks.keys():
            return cls(seconds, frozenset(), 0.0, 0.0, 0.0)
        a_second = os.sysconf("SC_CLK_TCK")
        worked, counted = (sum(ticks[core][part] for core in cores) / a_second for part in (0, 1))
        return cls(seconds, cores, worked, counted, _own_ticks(root) / a_second)

    def busy_elsewhere(self, later: CoreUse) -> float | None:
        """Cores' worth of time that went to other programs between this moment and `later`, from 0 to all cores.

        None where that is not known: no /proc/stat (macOS) or one that counts nothing, other cores in the meantime, or
        less than LEAST_LOOK_SECONDS between the two.
        """
        elapsed, cores = later.seconds - self.seconds, len(self.cores)
        if not cores or later.cores != self.cores or elapsed < LEAST_LOOK_SECONDS:
            return None
        if later.counted_seconds - self.counted_seconds < elapsed * cores / 2:
            return None
        others = later.worked_seconds - self.worked_seconds - (later.own_seconds - self.own_seconds)
        return min(max(others / elapsed, 0.0), float(cores))

    def free_cores(self, later: CoreUse) -> float | None:
        """Cores' worth of time that this process could have had between this moment and `later`; None as above."""
        elsewhere = self.busy_elsewhere(later)
        return None if elsewhere is None else min(float(available_cores()), len(self.cores) - elsewhere)


def free_cores_since(before: CoreUse) -> float | None:
    """Cores' worth of time that other programs have left since `before`; waits until there is something to tell."""
    elapsed = time.monotonic() - before.seconds
    time.sleep(max(0.0, LEAST_LOOK_SECONDS * 1.1 - elapsed))
    return before.free_cores(CoreUse.now())


def _ticks_by_core(root: Path) -> dict[int, tuple[int, int]]:
    """Core number -> (ticks not idle, ticks in all) since the machine's start."""
    ticks = {}
    for line in read_if_there(root / "stat").splitlines():
        name, _, numbers = line.partition(" ")
        # The ninth number on, time of guests, is in the first two already.
        spent = [int(number) for number in numbers.split()[:8]] if name.startswith("cpu") else []
        if name[3:].isdigit() and len(spent) == 8:
            user, nice, system, idle, iowait, irq, softirq, steal = spent
            worked = user + nice + system + irq + softirq + steal
            ticks[int(name[3:])] = (worked, worked + idle + iowait)
    return ticks


def _own_ticks(root: Path) -> int:
    """Ticks that this process and all below it have worked, ended children with them once they were waited for."""
    ticks, waiting = 0, ["self"]
    while waiting:
        folder = root / waiting.pop()
        after_name = read_if_there(folder / "stat").rpartition(")")[2].split()
        ticks += sum(map(int, after_name[11:15]))  # utime, stime, cutime, cstime
        for children in folder.glob("task/*/children"):
            waiting += read_if_there(children).split()
    return ticks


def read_if_there(path: Path) -> str:
    """Empty where there is no such file or the process has just ended."""
    try:
        return path.read_text()
    except OSError:
        return ""


@cache
def has_gpu() -> bool:
    """Whether an NVIDIA driver is loaded: a hint for planning, the worker asks torch itself."""
    return Path("/dev/nvidiactl").exists()


def processor_name() -> str:
    """The processor's own name where Linux tells it, else its architecture."""
    return _cpuinfo("model name") or platform.machine()


def processor_features() -> str:
    """What the processor can beyond its kind's least, as Linux lists it; empty elsewhere."""
    return _cpuinfo("flags", "Features")


def _cpuinfo(*names: str) -> str:
    """What Linux tells of the first processor under one of the names; empty where it does not."""
    lines = read_if_there(Path("/proc/cpuinfo")).splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(names)), "")


def gpu_names(root: Path = Path("/proc")) -> list[str]:
    """The names of NVIDIA's GPUs as their driver tells them, one each; torch has the same."""
    lines = [read_if_there(path / "information") for path in sorted(root.glob("driver/nvidia/gpus/*"))]
    return [line.partition(":")[2].strip() for text in lines for line in text.splitlines() if line.startswith("Model:")]


def available_memory(root: Path = Path("/proc")) -> int | None:
    """Bytes that programs could still ask for (MemAvailable); None where the system does not tell."""
    lines = (line.split() for line in read_if_there(root / "meminfo").splitlines())
    return next((int(words[1]) * 1024 for words in lines if words[0] == "MemAvailable:"), None)


def utc_now() -> str:
    """The time now as a label: UTC, ISO 8601, seconds. Durations come from `time.monotonic`."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


GIT_STATE = "CIFAR_LAB_GIT_STATE"
"""Variable of a worker on another machine: `git_state` of the folder that the command was given in, as JSON."""


@cache
def git_state() -> tuple[str | None, bool | None]:
    """(commit, whether there are uncommitted changes) of the working folder; (None, None) outside a checkout."""
    if told := os.environ.get(GIT_STATE):
        commit, dirty = json.loads(told)
        return commit, dirty
    try:
        command = ["git", "status", "--porcelain=v2", "--branch", "--untracked-files=no"]
        lines = subprocess.run(
            command, capture_output=True, text=True, timeout=10, check=True, stdin=subprocess.DEVNULL
        ).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None, None
    commit = next((line.split()[2] for line in lines if line.startswith("# branch.oid ")), None)
    if commit is None or commit == "(initial)":
        return None, None
    return commit, any(not line.startswith("#") for line in lines)
