"""Environment of a process that trains: its number of OpenMP threads, their way of waiting, and freed memory.

It imports nothing of the settings, so a command can start its first worker before it imports what it needs to plan.
`training.threads` has the measurements, and chooses the number.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

SPIN_COUNT = 10_000
"""Spins of a waiting GNU OpenMP thread before it sleeps (GOMP_SPINCOUNT), as in the measurements."""

BLOCK_MILLISECONDS = 1
"""Same for Intel's and LLVM's OpenMP (KMP_BLOCKTIME, default 200): the shortest wait that is not an immediate sleep.
Not measured."""

KEEP_FREED_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**30)}
"""glibc settings (mallopt(3)) that keep freed memory, so a step reuses the activations' memory of the previous step.

By default glibc returns blocks of that size to the system, and each step pays for new pages. A step of Net on one
thread took 6.3 ms instead of 5.4 at 64 images (290 to 500 pages per step), 40.9 instead of 37.9 at 512 (3,600 pages),
with bit-identical numbers. 32 MiB is the largest MALLOC_MMAP_THRESHOLD_ that every glibc accepts.
"""


def usable_cores(cores: int, limit: int | None = None) -> int:
    """Cores of one run: `cores`, cut by OMP_NUM_THREADS (`limit`, by default as `thread_limit` reads it)."""
    limit = thread_limit() if limit is None else limit
    return max(1, cores if limit is None else min(cores, limit))


def thread_limit(environment: Mapping[str, str] | None = None) -> int | None:
    """Limit from OMP_NUM_THREADS. Automatic choices respect it, `runtime.threads` overrides it.

    None if it is not set or not a whole number from 1. Of a list (one number per nesting level) the first counts.
    """
    first = (os.environ if environment is None else environment).get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) >= 1 else None


def openmp_environment(threads: int, inherited: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment of a process that trains on `threads` threads: `inherited` with OpenMP's part replaced.

    Memory that is freed is kept (KEEP_FREED_MEMORY) unless `inherited` says otherwise. `inherited` defaults to the
    environment of this process. The result must be set before torch is imported, because OpenMP reads it once.

    An inherited way of waiting is dropped, because the one that fits one thread (PASSIVE) makes several slower than
    one. So `torch.set_num_threads` can take a process from several threads to one, never from one to several.
    """
    inherited = os.environ if inherited is None else inherited
    waiting = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    environment = KEEP_FREED_MEMORY | {name: value for name, value in inherited.items() if name not in waiting}
    environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    if threads == 1:
        return environment | {"OMP_WAIT_POLICY": "PASSIVE"}
    return environment | {"GOMP_SPINCOUNT": str(SPIN_COUNT), "KMP_BLOCKTIME": str(BLOCK_MILLISECONDS)}
