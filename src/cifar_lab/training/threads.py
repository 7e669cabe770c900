"""How many CPU threads a run gets, how they wait for each other, and when it goes on with fewer.

Milliseconds a step of Net took on an idle machine of two cores (`python -m benchmarks threads` measures again), by our
own kernels and, behind the bar, by torch's:

    images a step                            8     64    512  |     8     64    512
    one thread                            0.51    1.7   13.1  |  0.95    4.3     34
    two that spin a little while waiting  0.63    1.0    6.9  |  0.80    2.6   18.5
    two that sleep at once (PASSIVE)      0.70    1.2    6.8  |   2.6    5.0
    two that spin, beside a busy program          2.4   13.5  |         13-17

So a second thread nearly halves a step, but only where there is a second group of 16 images for it, if it spins, and on
a core that nobody else wants: where one of two threads has lost its core, the other spins until it is back.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping

from cifar_lab.config.model_catalog import GROUP_IMAGES, MODEL_FACTS
from cifar_lab.core.host import CoreUse

MOST_FOR_SMALL = 2
"""Threads of a small model; more were not measured on so small a step."""

LEAST_BATCH_FOR_TWO = GROUP_IMAGES + 1
"""Images a step of a small model from which a second thread pays: there is a second group for it."""

TOLERATED_CORES = 0.25
"""Cores' worth of time that others may use before a thread less is better.

With torch's kernels, which lose more: at 2.6 ms a step alone, 15 ms beside a busy program and 4.3 ms on one thread,
two threads make as many steps as one when the program is busy (1/2.6 - 1/4.3) / (1/2.6 - 1/15) = 48 % of the time. It
has two thirds of a core then, as one of three on two cores: 0.32 cores. Rounded down, because a smaller step gains
less."""

LOOK_SECONDS = 2.0
"""Least time between two looks of `ThreadGuard`: against it a tick of 10 ms is nothing."""

SPIN_COUNT = 10_000
"""Rounds that a thread of GNU OpenMP waits before it sleeps (GOMP_SPINCOUNT), as in the measurements above."""

BLOCK_MILLISECONDS = 1
"""The same for Intel's and LLVM's OpenMP (KMP_BLOCKTIME), their shortest wait that is not to sleep at once; by itself
200. Not measured."""

KEEP_FREED_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**30)}
"""What glibc is told (mallopt(3)), so that the activations of a step lie in memory that the step before has freed.

By itself it gives blocks of that size back to the system, and each step then pays for new pages: on one thread a step
of Net took 6.3 ms instead of 5.4 at 64 images (290 to 500 pages a step), 40.9 instead of 37.9 at 512 (3,600 pages),
with the same numbers to the last bit. 32 MiB is the most that every glibc takes for the first."""


def choose_threads(
    model_name: str,
    batch_size: int,
    cores: int,
    side_by_side: int,
    free_cores: float | None,
    *,
    limit: int | None = None,
) -> int:
    """CPU threads of a run whose settings leave it open, at least 1.

    Each of the runs side by side has an equal share of the cores, and of those that other programs leave free. Of its
    share a small model takes at most MOST_FOR_SMALL, and a second only from LEAST_BATCH_FOR_TWO images a step on; large
    models and those of which nothing is known take all.

    Args:
        batch_size: images a step.
        cores: that may be used (`available_cores`).
        side_by_side: runs that train at the same time, this one with them.
        free_cores: cores' worth of time that others leave (`CoreUse.free_cores`). None is not known: a small model
            then stays on one thread, which loses less than two would on a machine that is not idle.
        limit: most threads that the person allows (`thread_limit`).
    """
    facts = MODEL_FACTS.get(model_name)
    threads = cores // side_by_side
    if free_cores is not None:
        threads = min(threads, fitting_threads(free_cores) // side_by_side)
    if facts is not None and facts.small:
        two_pay = free_cores is not None and batch_size >= LEAST_BATCH_FOR_TWO
        threads = min(threads, MOST_FOR_SMALL if two_pay else 1)
    if limit is not None:
        threads = min(threads, limit)
    return max(1, threads)


def fitting_threads(free_cores: float) -> int:
    """Threads for which there are free cores, or nearly (TOLERATED_CORES); at least 1."""
    return max(1, math.floor(free_cores + TOLERATED_CORES))


def thread_limit(environment: Mapping[str, str] | None = None) -> int | None:
    """The OMP_NUM_THREADS that a person has set for all programs: no choice goes above it, `runtime.threads` does.

    None where it is not set or no whole number from 1; of a list (one number a nesting level) the first counts.
    """
    first = (os.environ if environment is None else environment).get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) >= 1 else None


def openmp_environment(threads: int, inherited: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process that trains on `threads` threads: `inherited` with OpenMP's part made new.

    Memory that is freed is kept (KEEP_FREED_MEMORY) unless `inherited` says otherwise.

    `inherited` is this process's own where it is not given. The result must be there before torch is imported: OpenMP
    reads it once. An inherited way of waiting goes, because the one that fits one thread (PASSIVE) makes several slower
    than one. So `torch.set_num_threads` can take a process from several threads to one, never from one to several.
    """
    inherited = os.environ if inherited is None else inherited
    waiting = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    environment = KEEP_FREED_MEMORY | {name: value for name, value in inherited.items() if name not in waiting}
    environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    if threads == 1:
        return environment | {"OMP_WAIT_POLICY": "PASSIVE"}
    return environment | {"GOMP_SPINCOUNT": str(SPIN_COUNT), "KMP_BLOCKTIME": str(BLOCK_MILLISECONDS)}


class ThreadGuard:
    """Watches, while a run trains, whether other programs leave its threads their cores.

    It only ever takes threads away: a run that went up and down would round its numbers in a new way each time.
    """

    def __init__(
        self,
        threads: int,
        *,
        asked: bool = False,
        look: Callable[[], CoreUse] = CoreUse.now,
        clock: Callable[[], float] = time.monotonic,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """Begin to watch.

        Args:
            asked: the settings say how many threads, so nothing takes any away.
            look, clock: where moments come from, both in seconds of the same clock.
            look_seconds: least time between two looks.
        """
        self.threads = threads
        """That the run is to have now."""
        self.notes: list[str] = []
        """What changed, in words for the record."""
        self._asked = asked
        self._look, self._clock, self._look_seconds = look, clock, look_seconds
        self._before = look()
        # Cores' worth that (others used, was free) at the last look, where that was too much.
        self._crowded: tuple[float, float] | None = None

    def check(self, epoch: int) -> int | None:
        """Look, if the last look is `look_seconds` ago; the threads to go on with from now on where they are fewer.

        Two looks in a row must say so, and the milder counts: a program that works for a moment is not worth a thread
        for the rest of the run.

        Args:
            epoch: under way, from 1; for the note.
        """
        if self._asked or self.threads == 1 or self._clock() - self._before.seconds < self._look_seconds:
            return None
        before, self._before = self._before, self._look()
        elsewhere, free = before.busy_elsewhere(self._before), before.free_cores(self._before)
        if elsewhere is None or free is None or elsewhere <= TOLERATED_CORES:
            self._crowded = None
            return None
        crowded, self._crowded = self._crowded, (elsewhere, free)
        if crowded is None:
            return None
        elsewhere, free = min(crowded, self._crowded)
        fewer = fitting_threads(free)
        if fewer >= self.threads:
            return None
        self.threads, self._crowded = fewer, None
        threads = "1 thread" if fewer == 1 else f"{fewer} threads"
        cores = len(self._before.cores)
        self.notes.append(f"from epoch {epoch} on with {threads}: other programs used {elsewhere:.1f} of {cores} cores")
        return fewer
