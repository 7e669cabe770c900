"""The clock inside a measured process: warm-up first, then, on a word from the parent, steps for a given time."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

READY = "ready"
"""What a process says when its warm-up is done; it then waits for a line, so that several can begin together."""


def measure_rate(
    steps: Iterator[int], seconds: float, *, warm_up_steps: int, wait: Callable[[], object] = lambda: None
) -> dict[str, Any]:
    """Make steps for `seconds`, at least one, and tell how many images a second they took in.

    Args:
        steps: makes a step each time it is asked and yields its images.
        seconds: after the warm-up.
        warm_up_steps: first steps, which find memory and kernels.
        wait: returns when the device has done all that it was given.

    Raises:
        ValueError: the steps ended before the time did.
    """
    for _ in range(warm_up_steps):
        next(steps)
    wait()
    warm_up = time.monotonic() - process_start()
    print(READY, flush=True)
    sys.stdin.readline()
    images = made = 0
    began = now = time.perf_counter()
    while made == 0 or now - began < seconds:
        taken = next(steps, None)
        if taken is None:
            raise ValueError(f"the steps ended after {made}, before {seconds:g} s had passed")
        images, made = images + taken, made + 1
        now = time.perf_counter()
    wait()
    spent = time.perf_counter() - began
    return {
        "value": images / spent,
        "step_ms": 1000 * spent / made,
        "steps": made,
        "warm_up_seconds": warm_up,
        "resident_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def process_start() -> float:
    """When this process began, on the clock of `time.monotonic`; Linux alone tells, elsewhere it is now."""
    import os
    from pathlib import Path

    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return time.monotonic()
    since_boot = ticks / os.sysconf("SC_CLK_TCK")
    return time.monotonic() - (time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot)


def report(outcome: dict[str, Any]) -> None:
    """The last line of a measured process."""
    print(json.dumps(outcome), flush=True)
