"""Number of CPU threads of a run, and their way of waiting. Neither depends on what else the machine does.

The bits of a run are those of its settings and of the machine. The lab's own kernels add up a batch in an order that
depends on the batch alone, so their threads may be any number. torch's kernels round by the number of threads, so it
follows from the size of the network: one thread, or all cores that the process may use.

Milliseconds per step of Net on an idle machine of two cores (`python -m benchmarks threads` measures again), with this
project's kernels and, behind the bar, with torch's:

    images per step                       8     64    512  |     8     64    512
    one thread                            0.51    1.7   13.1  |  0.95    4.3     34
    two that spin a little while waiting  0.63    1.0    6.9  |  0.80    2.6   18.5
    two that sleep at once (PASSIVE)      0.70    1.2    6.8  |   2.6    5.0
    two that spin, beside a busy program          2.4   13.5  |         13-17

So a second thread of the lab's own kernels nearly halves a step on three conditions: it has a second group of 16
images, it spins (`core.openmp`), and its core is free. If one of two threads loses its core, the other spins until it
is back.
"""

from __future__ import annotations

import math

from cifar_lab.config import Settings
from cifar_lab.config.own_code import kernels_reason
from cifar_lab.config.registry import GROUP_IMAGES, facts_of

LARGE_PARAMETERS = 1_000_000
"""Trainable parameters from which torch's kernels use all cores. Smaller networks have one thread, because processes
side by side use the cores better, and because the bits of a run must not depend on its neighbours."""

MOST_FOR_SMALL = 2
"""Most threads of the lab's own kernels. More were not measured on such short steps."""

LEAST_BATCH_FOR_TWO = GROUP_IMAGES + 1
"""Images per step from which a second thread of the lab's own kernels pays, because it has a second group."""

TOLERATED_CORES = 0.25
"""Cores that other programs may use before one thread less is better.

Derived from torch's kernels, which lose more. A step takes 2.6 ms alone, 15 ms beside a busy program and 4.3 ms on one
thread. So two threads make as many steps as one if the program is busy (1/2.6 - 1/4.3) / (1/2.6 - 1/15) = 48 % of the
time. It has two thirds of a core then, as one of three threads on two cores: 0.32 cores. Rounded down, because a
smaller step gains less.
"""


def least_threads(settings: Settings, cores: int, *, parameters: int | None = None) -> int:
    """CPU threads that a run needs, at least 1: as many as `runtime.threads` states, else by the size of its network.

    Args:
        cores: cores that the process may use (`core.openmp.usable_cores`).
        parameters: of a custom model, whose size the settings do not tell. None means unknown, which counts as large.
    """
    asked, facts = settings.runtime.threads, facts_of(settings.model)
    if asked != "auto":
        return asked
    if facts is not None:
        parameters = facts.parameters
    return max(1, cores) if parameters is None or parameters >= LARGE_PARAMETERS else 1


def choose_threads(
    settings: Settings, cores: int, side_by_side: int, *, parameters: int | None = None, own_kernels: bool = False
) -> int:
    """CPU threads of a run: `least_threads`, or MOST_FOR_SMALL if its kernels gain from a second one.

    Args:
        side_by_side: concurrent runs, including this one. Each has an equal share of the cores.
        cores, parameters: as in `least_threads`.
        own_kernels: whether the lab's own kernels know a custom model.
    """
    threads = least_threads(settings, cores, parameters=parameters)
    if threads > 1 or settings.runtime.threads != "auto" or not _may_use_own_kernels(settings, own_kernels):
        return threads
    pays = settings.data.batch_size >= LEAST_BATCH_FOR_TWO
    return max(1, min(MOST_FOR_SMALL, cores // side_by_side)) if pays else 1


def torch_threads(settings: Settings, threads: int, parameters: int | None = None) -> int:
    """Threads of torch's kernels in a run that was given `threads` threads.

    A network below LARGE_PARAMETERS has one. The run may have been given more, for kernels of the lab that turned out
    to be unavailable.
    """
    facts = facts_of(settings.model)
    known = parameters if facts is None else facts.parameters
    is_small = known is not None and known < LARGE_PARAMETERS
    return 1 if is_small and settings.runtime.threads == "auto" else threads


def _may_use_own_kernels(settings: Settings, known: bool) -> bool:
    """Whether the settings allow the lab's own kernels. The worker decides, because they may fail to compile."""
    facts, runtime = facts_of(settings.model), settings.runtime
    known = known if facts is None else facts.own_kernels
    allowed = known and kernels_reason(settings) is None
    return allowed and runtime.kernels != "torch" and runtime.precision == "fp32"


def fitting_threads(free_cores: float) -> int:
    """Threads for which cores are free, within TOLERATED_CORES. At least 1."""
    return max(1, math.floor(free_cores + TOLERATED_CORES))
