"""What a measurement on a GPU needs beside torch's own words; on the CPU there is nothing to wait for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from benchmarks.stopwatch import measure_rate


def waiter(device: torch.device) -> Callable[[], object]:
    """A function that returns when the device has done all that it was given."""
    return torch.cuda.synchronize if device.type == "cuda" else lambda: None


def rate_on(device: torch.device, steps: Iterator[int], seconds: float, warm_up_steps: int) -> dict[str, Any]:
    """`measure_rate` with the threads and, of a GPU, the peak of the memory that torch held there."""
    rate = measure_rate(steps, seconds, warm_up_steps=warm_up_steps, wait=waiter(device))
    peak = torch.cuda.max_memory_reserved() if device.type == "cuda" else None
    return {**rate, "device_peak_bytes": peak, "threads": torch.get_num_threads()}
