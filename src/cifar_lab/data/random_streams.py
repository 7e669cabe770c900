"""Random streams of a run: independent generators derived from (name, seed, epoch), so that resume saves no state."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator, Sequence

import torch


def stream_seed(name: str, seed: int, epoch: int = 0) -> int:
    """63 bits for one random stream, unrelated to those of any other (name, seed, epoch)."""
    digest = hashlib.sha256(f"{name}/{seed}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(name: str, seed: int, epoch: int = 0) -> torch.Generator:
    """A CPU generator for one random stream: the same numbers on every machine, so resume needs no saved state."""
    return torch.Generator().manual_seed(stream_seed(name, seed, epoch))


_GLOBAL_GENERATOR = threading.Lock()
"""Initial weights are drawn from torch's global generator, which the threads of a process share."""


@contextlib.contextmanager
def seeded_init(seed: int) -> Iterator[None]:
    """Initial weights drawn inside come from the run's own stream; torch's global generator is left as it was."""
    with _GLOBAL_GENERATOR, torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed("init", seed))
        yield


class ModelStreams:
    """Chance inside the networks (dropout), which draw from torch's global generators: a stream a member and epoch."""

    def __init__(self, seeds: Sequence[int], epoch: int) -> None:
        """`epoch` counts from 0; the first member's stream is in force. No seeds: nothing is drawn inside."""
        self._states: list[list[torch.Tensor]] = []
        for seed in reversed(seeds):
            torch.manual_seed(stream_seed("model", seed, epoch))
            self._states.insert(0, self._get())

    @contextlib.contextmanager
    def member(self, number: int) -> Iterator[None]:
        """Draws inside come from the member's stream; a single member's is always in force."""
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
"""For models that draw nothing: torch's global generators, which threads share, are left alone."""
