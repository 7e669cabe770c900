"""This machine, without torch: usable cores, memory, processor, clock, git checkout, standard output, shipped files."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

SHIPPED = "CIFAR_LAB_SHIPPED"
"""Environment variable of a remote worker: the folder that stands for the root of the first machine's file system."""

LEAST_LOOK_SECONDS = 0.2
"""Shortest interval that `CoreUse` evaluates: Linux counts in ticks of 10 ms, with an error of one tick per core."""


def available_cores() -> int:
    """Cores that this process may use: the affinity mask, cut by the cgroup's CPU quota (rounded down, at least 1)."""
    cores = len(_affinity()) or os.cpu_count() or 1
    quota = _cgroup_quota_cores()
    return max(1, min(cores, int(quota)) if quota is not None else cores)


def _affinity() -> frozenset[int]:
    """Numbers of the cores that this process may run on. Empty where the system does not report them."""
    return frozenset(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ())


def _cgroup_quota_cores(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """CPU quota of cgroup v2 or v1 in cores. None without one."""
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
    """CPU time used on this process's cores at one moment. Two of them give the load between them, by process.

    Counted as in proc(5), /proc/stat and /proc/PID/stat. Time that the host of a virtual machine took away (steal)
    counts as work of others.
    """

    seconds: float
    """Of `time.monotonic`."""
    cores: frozenset[int]
    """Numbers of the cores. Empty where the system does not report their use."""
    worked_seconds: float
    """Core-seconds that were not idle, of all processes."""
    counted_seconds: float
    """Core-seconds in all. Constant in a sandbox that counts nothing."""
    own_seconds: float
    """Core-seconds of this process, its threads and its descendants."""

    @classmethod
    def now(cls, root: Path = Path("/proc")) -> CoreUse:
        """Current use, from `root`, a mounted proc file system."""
        cores, seconds = _affinity(), time.monotonic()
        ticks = _ticks_by_core(root)
        if not cores <= ticks.keys():
            return cls(seconds, frozenset(), 0.0, 0.0, 0.0)
        a_second = os.sysconf("SC_CLK_TCK")
        worked, counted = (sum(ticks[core][part] for core in cores) / a_second for part in (0, 1))
        return cls(seconds, cores, worked, counted, _own_ticks(root) / a_second)

    def busy_elsewhere(self, later: CoreUse) -> float | None:
        """Cores used by other programs between this moment and `later`, from 0 to all cores.

        None where unknown: no /proc/stat (macOS) or one that counts nothing, a changed affinity, or less than
        LEAST_LOOK_SECONDS between the two.
        """
        elapsed, cores = later.seconds - self.seconds, len(self.cores)
        if not cores or later.cores != self.cores or elapsed < LEAST_LOOK_SECONDS:
            return None
        if later.counted_seconds - self.counted_seconds < elapsed * cores / 2:
            return None
        others = later.worked_seconds - self.worked_seconds - (later.own_seconds - self.own_seconds)
        return min(max(others / elapsed, 0.0), float(cores))

    def free_cores(self, later: CoreUse) -> float | None:
        """Cores that were free for this process between this moment and `later`. None where `busy_elsewhere` is."""
        elsewhere = self.busy_elsewhere(later)
        return None if elsewhere is None else min(float(available_cores()), len(self.cores) - elsewhere)


def _ticks_by_core(root: Path) -> dict[int, tuple[int, int]]:
    """Core number -> (ticks not idle, ticks in all) since boot."""
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
    """Ticks of this process and its descendants, including ended children that were waited for."""
    ticks, waiting = 0, ["self"]
    while waiting:
        folder = root / waiting.pop()
        after_name = read_if_there(folder / "stat").rpartition(")")[2].split()
        ticks += sum(map(int, after_name[11:15]))  # utime, stime, cutime, cstime
        for children in folder.glob("task/*/children"):
            waiting += read_if_there(children).split()
    return ticks


def read_if_there(path: Path) -> str:
    """Text of a file. Empty for a missing file or an ended process."""
    try:
        return path.read_text()
    except OSError:
        return ""


@cache
def has_gpu() -> bool:
    """Whether an NVIDIA driver is loaded. A hint for planning: the worker asks torch."""
    return Path("/dev/nvidiactl").exists()


def processor_name() -> str:
    """Model name of the processor on Linux, else its architecture."""
    return _cpuinfo("model name") or platform.machine()


def processor_features() -> str:
    """Instruction set extensions as Linux lists them. Empty elsewhere."""
    return _cpuinfo("flags", "Features")


def _cpuinfo(*names: str) -> str:
    """Value for the first processor in /proc/cpuinfo under one of the names. Empty where it is missing."""
    lines = read_if_there(Path("/proc/cpuinfo")).splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(names)), "")


def device_names() -> dict[str, set[str]]:
    """Names by which records know the devices of this machine, for `cpu` and `cuda`."""
    return {"cpu": {processor_name()}, "cuda": set(gpu_names())}


def gpu_names(root: Path = Path("/proc")) -> list[str]:
    """Names of NVIDIA GPUs as their driver reports them, one per GPU, equal to torch's."""
    lines = [read_if_there(path / "information") for path in sorted(root.glob("driver/nvidia/gpus/*"))]
    return [line.partition(":")[2].strip() for text in lines for line in text.splitlines() if line.startswith("Model:")]


def available_memory(root: Path = Path("/proc")) -> int | None:
    """Bytes available to programs (MemAvailable). None where the system does not report it."""
    lines = (line.split() for line in read_if_there(root / "meminfo").splitlines())
    return next((int(words[1]) * 1024 for words in lines if words[0] == "MemAvailable:"), None)


def most_open_files() -> int:
    """Number of files that a process may open after `raise_open_files`."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return sys.maxsize if most == resource.RLIM_INFINITY else most


def raise_open_files() -> None:
    """Raise this process's limit of open files as far as the system lets it."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):  # some systems have a lower limit of their own
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def utc_now() -> str:
    """Current time as a label: UTC, ISO 8601, seconds. Durations use `time.monotonic`."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


GIT_STATE = "CIFAR_LAB_GIT_STATE"
"""Environment variable of a remote worker: state of the command's working folder, as `git_state_text` has it."""


@cache
def git_state() -> tuple[str | None, bool | None]:
    """(commit, whether it has uncommitted changes) of the working folder. (None, None) outside a checkout."""
    if told := os.environ.get(GIT_STATE):
        commit, dirty, *_ = json.loads(told)
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


def ignore_output() -> None:
    """Redirect standard output to the null device, so that a closed pipe does not stop the process."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def print_status(line: str) -> None:
    """Print a line on standard error, if it is still open."""
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


def located(path: str | Path) -> Path:
    """Path of a file on this machine: below `$CIFAR_LAB_SHIPPED` where it was shipped, else unchanged."""
    root, path = os.environ.get(SHIPPED), Path(path)
    if root and path.is_absolute() and (sent := below(Path(root), path)).exists():
        return sent
    return path


def below(root: Path, path: Path) -> Path:
    """An absolute path, relative to a folder that stands for the root of the file system."""
    return root.joinpath(*path.parts[1:])
