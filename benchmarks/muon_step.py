"""CPU time of a training step of Net with Muon and with SGD, and its parts, on one thread.

    python -m benchmarks.muon_step                # batches of 32 images

CPU time leaves out the time in which other programs have the core. The fastest of several rounds counts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from benchmarks.own.steps import prepare

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
        epoch = iter(range(1_000_000))
        cohort, rate = workload.steps.cohort, torch.full((1, 1), 1e-9)

        def whole(steps: object = workload.steps, epoch: object = epoch) -> None:
            for _ in steps.epoch(next(epoch)):  # type: ignore[attr-defined,call-overload]
                pass

        def updates(cohort: object = cohort, rate: torch.Tensor = rate) -> None:
            for _ in range(STEPS):
                cohort.optimizer.step(rate)  # type: ignore[attr-defined]

        kernels = workload.how["kernels"]
        print(
            f"{name}: {fastest(whole):.2f} ms per step, {fastest(updates):.2f} ms of it the update, kernels {kernels}"
        )


def fastest(round_of: Callable[[], None]) -> float:
    """CPU milliseconds per step in the fastest round."""
    found = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        round_of()
        found.append((time.process_time() - begin) / STEPS * 1e3)
    return min(found)


if __name__ == "__main__":
    main()
