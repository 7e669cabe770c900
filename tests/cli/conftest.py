"""The real entry point in a process of its own, with a cache and a results folder of the test's."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..progress_lines import PROGRESS

TINY = """\
data: {dataset: synthetic, train_size: 200, test_size: 100, batch_size: 20, difficulty: 0.1}
optimizer: {lr: 0.02}
epochs: 1
seeds: [0, 1]
"""
"""Two runs of a tenth of a second each."""

Listing = dict[str, tuple[int, int]]


def _used_by_children() -> float:
    """Processor seconds of finished children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str
    """Standard error without the lines of progress: errors and notes."""
    progress: list[str]
    """Lines of progress, from standard error."""
    seconds: float
    processor_seconds: float
    """Of the command and its processes. Other programs do not stretch them."""

    @property
    def lines(self) -> list[str]:
        """Lines of results, from standard output."""
        return [line.rstrip() for line in self.out.splitlines()]


@dataclass(frozen=True)
class Lab:
    """A working folder with settings files, where commands are given."""

    folder: Path
    cache: Path

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")}
        return {
            **kept, "CIFAR_LAB_CACHE": str(self.cache), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE",
            "PYTHONIOENCODING": "utf-8", "TERM": "dumb",
        }  # fmt: skip

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def __call__(self, *arguments: str | Path, before: tuple[str, ...] = (), **variables: str) -> Done:
        """`cifar-lab ARGUMENTS`; `before` are words put before the command."""
        command = [*before, sys.executable, "-m", "cifar_lab", *map(str, arguments)]
        began, used = time.monotonic(), _used_by_children()
        done = subprocess.run(
            command, cwd=self.folder, env={**self.environment, **variables}, capture_output=True, timeout=120,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        seconds, used = time.monotonic() - began, _used_by_children() - used
        told = done.stderr.decode().splitlines(keepends=True)
        progress = [line.rstrip() for line in told if PROGRESS.match(line)]
        err = "".join(line for line in told if not PROGRESS.match(line))
        return Done(done.returncode, done.stdout.decode(), err, progress, seconds, used)

    def listing(self) -> Listing:
        """Path → (size, time of change in ns) of everything in the working folder and the cache."""
        roots = (self.folder, self.cache)
        return {
            str(path): (path.stat().st_size, path.stat().st_mtime_ns)
            for root in roots
            for path in [root, *root.rglob("*")]
            if path.exists()
        }

    def copy(self, folder: Path) -> Lab:
        """The same files elsewhere, to be changed; the cache is shared."""
        shutil.copytree(self.folder, folder)
        return Lab(folder, self.cache)


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared images of the tiny set, drawn once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def lab(tmp_path: Path, shared_cache: Path) -> Lab:
    """A working folder with `tiny.yaml` and nothing trained."""
    folder = tmp_path / "lab"
    folder.mkdir()
    made = Lab(folder, shared_cache)
    made.write("tiny.yaml", TINY)
    return made


@dataclass(frozen=True)
class Trained:
    """A lab in which `run tiny.yaml` was given once, and what it said. To be read, never changed."""

    lab: Lab
    first: Done


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Trained:
    made = Lab(tmp_path_factory.mktemp("trained"), shared_cache)
    made.write("tiny.yaml", TINY)
    return Trained(made, made("run", "tiny.yaml"))


@pytest.fixture
def trained_copy(trained: Trained, tmp_path: Path) -> Lab:
    """The trained lab, to be changed."""
    return trained.lab.copy(tmp_path / "trained")


@pytest.fixture(scope="session")
def without_network() -> Callable[[], tuple[tuple[str, ...], dict[str, str]]]:
    """Words before a command, and variables, with which it finds no network."""
    alone = ("unshare", "-rn")
    works = shutil.which("unshare") and subprocess.run([*alone, "true"], capture_output=True).returncode == 0
    closed = dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9")
    return lambda: (alone, {}) if works else ((), closed)
