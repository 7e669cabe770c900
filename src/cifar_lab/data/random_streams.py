"""Random streams of a run: generators derived from (name, seed, epoch), so a checkpoint needs no generator state."""

from __future__ import annotations

import contextlib
import hashlib
import random
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch


def stream_seed(name: str, seed: int, epoch: int = 0) -> int:
    """63-bit seed of a random stream, independent of every other (name, seed, epoch)."""
    digest = hashlib.sha256(f"{name}/{seed}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(name: str, seed: int, epoch: int = 0) -> torch.Generator:
    """CPU generator of a random stream. It gives the same numbers on every machine."""
    return torch.Generator().manual_seed(stream_seed(name, seed, epoch))


_GLOBAL_GENERATOR = threading.Lock()
"""Guards the global generators, which initial weights are drawn from and which threads share."""


def seed_generators(seed: int) -> None:
    """Seed the global generators of torch, NumPy and Python."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


@contextlib.contextmanager
def seeded_init(seed: int) -> Iterator[None]:
    """Draw initial weights from the run's stream, and restore the global generators afterwards."""
    with _GLOBAL_GENERATOR, torch.random.fork_rng(devices=[]):
        of_numpy, of_python = np.random.get_state(), random.getstate()
        seed_generators(stream_seed("init", seed))
        try:
            yield
        finally:
            np.random.set_state(of_numpy)
            random.setstate(of_python)


class ModelStreams:
    """Streams for random numbers inside networks (dropout), which use the global generators.

    Each member has a stream per epoch.
    """

    def __init__(self, seeds: Sequence[int], epoch: int) -> None:
        """Seed the streams of `epoch` (from 0) and activate the first member's. Without seeds, do nothing."""
        self._states: list[tuple[list[torch.Tensor], Any, Any]] = []
        for seed in reversed(seeds):
            seed_generators(stream_seed("model", seed, epoch))
            self._states.insert(0, self._get())

    @contextlib.contextmanager
    def member(self, number: int) -> Iterator[None]:
        """Activate the member's stream. That of a single member is always active."""
        if len(self._states) <= 1:
            yield
            return
        self._set(self._states[number])
        yield
        self._states[number] = self._get()

    @staticmethod
    def _get() -> tuple[list[torch.Tensor], Any, Any]:
        on_gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else ()
        return [torch.get_rng_state(), *on_gpus], np.random.get_state(), random.getstate()

    @staticmethod
    def _set(states: tuple[list[torch.Tensor], Any, Any]) -> None:
        (on_cpu, *on_gpus), of_numpy, of_python = states
        torch.set_rng_state(on_cpu)
        if on_gpus:
            torch.cuda.set_rng_state_all(on_gpus)
        np.random.set_state(of_numpy)
        random.setstate(of_python)


NO_STREAMS = ModelStreams((), 0)
"""For models without random numbers. Leaves the global generators alone, which threads share."""
