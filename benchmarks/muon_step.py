"""CPU time of a training step of Net with Muon and with SGD, and its parts, on one thread.

    python -m benchmarks.muon_step                # batches of 32 images

CPU time leaves out the time in which other programs have the core. The fastest of several rounds counts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch

from benchmarks.own.steps import Workload, prepare

ROUNDS = 15
STEPS = 100
"""Steps per round."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--set", action="append", default=[], help="further settings of both arms")
    options = parser.parse_args()
    for name in ("sgd", "muon"):
        settings = [f"data.batch_size={options.batch_size}", f"optimizer.name={name}", *options.set]
        workload = prepare(settings, threads=1, images=STEPS * options.batch_size)
        torch.set_num_threads(1)
        whole, update = fastest(partial(steps, workload)), fastest(partial(updates, workload))
        kernels = workload.how["kernels"]
        print(f"{name}: {whole:.2f} ms per step, {update:.2f} ms of it the update, kernels {kernels}")


def steps(workload: Workload, epoch: int) -> None:
    """Make the steps of an epoch."""
    for _ in workload.steps.epoch(epoch):
        pass


def updates(workload: Workload, _: int) -> None:
    """Make as many updates without their gradients."""
    rate = torch.full((1, 1), 1e-9)
    for _ in range(STEPS):
        workload.steps.cohort.optimizer.step(rate)


def fastest(round_of: Callable[[int], None]) -> float:
    """CPU milliseconds per step in the fastest round. `round_of` is called with the number of the round."""
    found = []
    for number in range(ROUNDS):
        begin = time.process_time()
        round_of(number)
        found.append((time.process_time() - begin) / STEPS * 1e3)
    return min(found)


if __name__ == "__main__":
    main()
