"""Threads of a run beside other programs: fewer while they use the cores, as many as before when they have ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from cifar_lab.core.host import CoreUse
from cifar_lab.training.threads import TOLERATED_CORES, fitting_threads

LOOK_SECONDS = 2.0
"""Least time between two measurements of `CoreWatch`, long against a tick of 10 ms."""

START_SECONDS = 0.5
"""Same before the start of a run. Shorter than the rest of the import of torch when the first task arrives, whose time
is the first measurement of a worker."""


@dataclass(frozen=True)
class CoreLoad:
    """Load of the cores of a process between two measurements."""

    elsewhere: float
    """Cores that other programs used."""
    free: float
    """Cores that were free for this process."""
    cores: int

    def fitting(self, most: int) -> int:
        """Threads of a run that may have up to `most`."""
        return most if self.elsewhere <= TOLERATED_CORES else min(most, fitting_threads(self.free))


class CoreWatch:
    """Measurements of the load of the cores, which the runs of a process share."""

    def __init__(
        self,
        look: Callable[[], CoreUse] = CoreUse.now,
        clock: Callable[[], float] = time.monotonic,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """Take the first measurement.

        Args:
            look, clock: sources of measurements and time, both in seconds of the same clock.
            look_seconds: least time between two measurements.
        """
        self._look, self._clock, self._look_seconds = look, clock, look_seconds
        self._before = look()
        self.last: CoreLoad | None = None
        """Load before the last measurement. None where it is unknown."""

    def look(self, least_seconds: float | None = None) -> bool:
        """Measure if `least_seconds` have passed, by default `look_seconds`. Whether it did."""
        least_seconds = self._look_seconds if least_seconds is None else least_seconds
        if self._clock() - self._before.seconds < least_seconds:
            return False
        before, self._before = self._before, self._look()
        elsewhere, free = before.busy_elsewhere(self._before), before.free_cores(self._before)
        known = elsewhere is not None and free is not None
        self.last = CoreLoad(elsewhere or 0.0, free or 0.0, len(self._before.cores)) if known else None
        return True


@cache
def process_watch() -> CoreWatch:
    """The watch of this process, which begins with the first call."""
    return CoreWatch()


class ThreadGuard:
    """Detector of other programs that use the cores of its threads.

    It serves the lab's own kernels, whose bits do not depend on the number of threads. A run begins with the threads
    for which cores were free before, so that several commands on one machine do not wait for each other in each run.
    During the run two measurements in a row must agree, because a program that works for a moment is not worth a
    thread. The milder one takes threads away, the worse one gives them back.
    """

    def __init__(self, threads: int, *, asked: bool = False, watch: CoreWatch | None = None) -> None:
        """Choose the threads of the beginning.

        Args:
            threads: the most of the run.
            asked: whether the number of threads is fixed, by the settings or by torch's kernels, whose bits it decides.
            watch: measurements. None means those of the process.
        """
        self._most, self._fixed = threads, asked or threads == 1
        self._recent: list[CoreLoad] = []
        self.threads = threads
        """Threads that the run should use now."""
        self.notes: list[str] = []
        """Changes during the run, as text for the record."""
        if self._fixed:
            return
        self._watch = watch or process_watch()
        self._watch.look(START_SECONDS)
        if self._watch.last is not None:
            self.threads = self._watch.last.fitting(threads)

    def check(self, epoch: int) -> int | None:
        """Measure if it is time to. Returns the new number of threads, or None for no change.

        Args:
            epoch: current epoch, from 1, for the note.
        """
        if self._fixed or not self._watch.look():
            return None
        if (load := self._watch.last) is None:
            self._recent.clear()
            return None
        self._recent = [*self._recent[-1:], load]
        if len(self._recent) < 2:
            return None
        mild, bad = sorted(self._recent, key=lambda each: each.elsewhere)
        if mild.fitting(self._most) < self.threads:
            return self._change(mild, epoch)
        return self._change(bad, epoch) if bad.fitting(self._most) > self.threads else None

    def _change(self, load: CoreLoad, epoch: int) -> int:
        self.threads = load.fitting(self._most)
        self._recent.clear()
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        self.notes.append(
            f"from epoch {epoch} on with {threads}: other programs used {load.elsewhere:.1f} of {load.cores} cores"
        )
        return self.threads
