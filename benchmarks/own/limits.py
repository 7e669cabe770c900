"""What a step of cifar-lab reaches, and what the machine can do, in the same unit and on the same threads.

python -m benchmarks.own.limits flops --set data.batch_size=64       # GFLOP/s of a step, by its counted FLOPs
python -m benchmarks.own.limits matmul                               # GFLOP/s of a matrix product
python -m benchmarks.own.limits bytes                                # GB/s of a step, by its counted bytes
python -m benchmarks.own.limits copy                                 # GB/s of copying memory, read and written
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.own.steps import Workload, endless, prepare, settings_of
from benchmarks.peers.device import waiter
from benchmarks.stopwatch import report

GIGA = 1e9

MATRIX = {"cpu": 2048, "cuda": 8192}
"""Rows and columns of the square matrices that are multiplied: large enough for the device's full rate."""

COPIED_BYTES = {"cpu": 2**28, "cuda": 2**31}
"""Of the tensor that is copied: beyond the caches of the cores that may be used."""

WARM_UP = 5

EPOCH_STEPS = 64


class CountedBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what every operation reads and writes: its tensors' bytes, views left out."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        result = func(*args, **given)
        if not func.is_view:
            tensors = [leaf for leaf in tree_leaves((args, given, result)) if isinstance(leaf, Tensor)]
            self.total += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return result


def count_step(workload: Workload) -> tuple[int, int]:
    """(FLOPs, bytes) of one step made by hand, its images included."""
    counter = CountedBytes()
    with FlopCounterMode(display=False) as flops, counter:
        next(workload.eager.epoch(0))
    return flops.get_total_flops(), counter.total


def seconds_each(action: Callable[[], object], seconds: float, wait: Callable[[], object]) -> float:
    """Time of one `action` of as many as fit into `seconds`, at least one, after a few that are not counted."""
    for _ in range(WARM_UP):
        action()
    wait()
    made, began = 0, time.perf_counter()
    while made == 0 or time.perf_counter() - began < seconds:
        action()
        made += 1
    wait()
    return (time.perf_counter() - began) / made


def images_of(overrides: Sequence[str]) -> int:
    """Images for an epoch whose batches are all full."""
    return EPOCH_STEPS * settings_of(overrides).data.batch_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["flops", "bytes", "matmul", "copy"])
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=4.0)
    args = parser.parse_args()
    workload = prepare(args.overrides, args.threads, images_of(args.overrides), args.members)
    device, wait = workload.execution.device, waiter(workload.execution.device)
    if args.what == "matmul":
        size, kind = MATRIX[device.type], torch.bfloat16 if workload.execution.bf16 else torch.float32
        left, right = (torch.randn(size, size, device=device).to(kind) for _ in range(2))
        out = torch.empty_like(left)
        spent = seconds_each(lambda: torch.mm(left, right, out=out), args.seconds, wait)
        report({"value": 2 * size**3 / spent / GIGA})
        return
    if args.what == "copy":
        source = torch.ones(COPIED_BYTES[device.type] // 4, device=device)
        target = torch.empty_like(source)
        spent = seconds_each(lambda: target.copy_(source), args.seconds, wait)
        report({"value": 2 * COPIED_BYTES[device.type] / spent / GIGA})
        return
    counted = dict(zip(("flops", "bytes"), count_step(workload), strict=True))
    steps = endless(workload)
    spent = seconds_each(lambda: next(steps), args.seconds, wait)
    report({"value": counted[args.what] / spent / GIGA, "step_ms": 1000 * spent, "counted": counted})


if __name__ == "__main__":
    main()
