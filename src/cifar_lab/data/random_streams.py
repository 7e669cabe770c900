"""Random streams of a run: generators derived from (name, seed, epoch), so a checkpoint needs no generator state."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator, Sequence

import torch


def stream_seed(name: str, seed: int, epoch: int = 0) -> int:
    """63-bit seed of a random stream, independent of every other (name, seed, epoch)."""
    digest = hashlib.sha256(f"{name}/{seed}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(name: str, seed: int, epoch: int = 0) -> torch.Generator:
    """CPU generator of a random stream. It gives the same numbers on every machine."""
    return torch.Generator().manual_seed(stream_seed(name, seed, epoch))


_GLOBAL_GENERATOR = threading.Lock()
"""Guards torch's global generator, which initial weights are drawn from and which threads share."""


@contextlib.contextmanager
def seeded_init(seed: int) -> Iterator[None]:
    """Draw initial weights from the run's stream, and restore torch's global generator afterwards."""
    with _GLOBAL_GENERATOR, torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed("init", seed))
        yield


class ModelStreams:
    """Streams for random numbers inside networks (dropout), which use torch's global generators.

    Each member has a stream per epoch.
    """

    def __init__(self, seeds: Sequence[int], epoch: int) -> None:
        """Seed the streams of `epoch` (from 0) and activate the first member's. Without seeds, do nothing."""
        self._states: list[list[torch.Tensor]] = []
        for seed in reversed(seeds):
            torch.manual_seed(stream_seed("model", seed, epoch))
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
    def _get() -> list[torch.Tensor]:
        return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else ())]

    @staticmethod
    def _set(states: list[torch.Tensor]) -> None:
        torch.set_rng_state(states[0])
        if len(states) > 1:
            torch.cuda.set_rng_state_all(states[1:])


NO_STREAMS = ModelStreams((), 0)
"""For models without random numbers. Leaves torch's global generators alone, which threads share."""
