"""The kernel's source compiled as C++: one build per version of it, kept for all test processes."""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from cifar_lab.training.backends.block import jobs
from cifar_lab.training.backends.block.shapes import Shape
from cifar_lab.training.backends.block.source import definitions, source_files

FLAGS = ("-std=c++17", "-O2", "-march=native", "-shared", "-fPIC", "-Wall", "-Werror", "-Wno-unknown-pragmas")


class HostKernel:
    """Runs the blocks one after the other, and those of a team in turn.

    `seed` shuffles the threads of a phase and the blocks of a team, 0 keeps their order. `blocks`: those at once.
    """

    parts = jobs.PARTS

    def __init__(self, shape: Shape, classes: int, seed: int = 0, blocks: int = 1) -> None:
        self.blocks = blocks
        self.shape, self._library, self._seed = shape, _built(shape, classes), seed

    def train(self, job: jobs.Training, blocks: int) -> None:
        self._library.train_block(ctypes.byref(job), ctypes.c_uint32(self._seed))

    def score(self, job: jobs.Scoring, blocks: int) -> None:
        self._library.score_block(ctypes.byref(job), ctypes.c_uint32(self._seed))

    @contextmanager
    def without_meeting(self, number: int, each: int) -> Iterator[None]:
        """Let the blocks of a team miss one of the `each` meetings of a step."""
        self._library.miss_meeting(number, each)
        try:
            yield
        finally:
            self._library.miss_meeting(-1, 1)


@cache
def _built(shape: Shape, classes: int) -> ctypes.CDLL:
    files = source_files()
    command = ["g++", *FLAGS, *definitions(shape, classes, sum(jobs.PARTS)), "-x", "c++", str(files[-1])]
    key = hashlib.sha256("\0".join([*map(Path.read_text, files), *command]).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"cifar-lab-tests-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"block-{key}.so"
    if not path.exists():
        made = path.with_suffix(f".{os.getpid()}")
        subprocess.run([*command, "-o", str(made)], check=True)
        made.rename(path)
    return ctypes.CDLL(str(path))
