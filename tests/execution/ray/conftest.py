"""A Ray cluster of two one-core nodes on this machine, for all tests that need one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import cifar_lab

SOURCE = Path(cifar_lab.__file__).parents[1]


class TwoNodes:
    """The head, to which drivers connect, and a second node that can be lost; each has a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._errors = (folder / "errors").open("wb")
        environment = {
            "RAY_TMPDIR": str(folder),
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": f"{SOURCE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        }
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("two_nodes.py"), folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
            env={**os.environ, **environment}, start_new_session=True,
        )  # fmt: skip
        self.address = self._answer()
        self._whole = True

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, (self.folder / "errors").read_text()
        return line

    def _ask(self, what: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        assert self._answer() == "done"

    def lose_second(self) -> None:
        """The second node dies with all that is on it."""
        self._whole = False
        self._ask("lose")

    def mend(self) -> None:
        """Start the second node where it is not there."""
        if not self._whole:
            self._ask("add")
            self._whole = True

    def end(self) -> None:
        """Nothing of it is left."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()


@pytest.fixture(scope="session")
def cluster() -> Iterator[TwoNodes]:
    # Sockets lie below it, and their paths may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="clt-", dir="/tmp"))
    nodes = TwoNodes(folder)
    try:
        yield nodes
    finally:
        nodes.end()
        shutil.rmtree(folder)


@pytest.fixture
def two_nodes(cluster: TwoNodes) -> TwoNodes:
    cluster.mend()
    return cluster
