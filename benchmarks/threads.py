"""Milliseconds a training step takes by model, batch size and CPU threads: what `cifar_lab.threads` decides by.

    python benchmarks/threads.py
    python benchmarks/threads.py --busy 1     # the same beside a busy program

Each step is that of a run alone (SGD, made-up images that stay in memory). Each case is measured in a process of its
own, with the environment that a worker has, all cases in turn, round after round; printed is the median of the rounds,
each of which is the median of its steps. Only an idle machine gives numbers to go by; what other programs used during
the cases is printed below. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from cifar_lab.machine import CoreUse, available_cores
from cifar_lab.threads import openmp_environment

BATCH_SIZES = {"Net": (8, 64, 512), "ResNet18": (8, 64, 128)}

WARM_UP_STEPS = 5
"""First steps of a process, which also find their memory and their kernels."""


@dataclass(frozen=True)
class Case:
    """What is measured in one process."""

    model: str
    batch_size: int
    threads: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of steps in each process, after the warm-up")
    parser.add_argument("--models", nargs="+", choices=BATCH_SIZES, default=list(BATCH_SIZES))
    parser.add_argument("--batch-sizes", type=int, nargs="+", help="instead of those of each model")
    parser.add_argument("--threads", type=int, nargs="+", help="default: 1 to the number of cores")
    parser.add_argument("--busy", type=int, default=0, help="busy programs to start beside each case")
    parser.add_argument("--case", nargs=3, metavar=("MODEL", "BATCH_SIZE", "THREADS"), help="one, in this process")
    options = parser.parse_args()
    if options.case is not None:
        model, batch_size, threads = options.case
        print(json.dumps(median_step_ms(Case(model, int(batch_size), int(threads)), options.seconds)))
        return

    counts = options.threads or range(1, available_cores() + 1)
    rows = [(model, size) for model in options.models for size in options.batch_sizes or BATCH_SIZES[model]]
    times: dict[Case, list[float]] = {Case(*row, threads): [] for row in rows for threads in counts}
    elsewhere = []
    for _ in range(options.rounds):
        for case, measured in times.items():
            before = CoreUse.now()
            with busy_programs(options.busy):
                measured.append(in_own_process(case, options.seconds))
            elsewhere.append(before.busy_elsewhere(CoreUse.now()))
    print_table(rows, counts, times)
    known = [cores for cores in elsewhere if cores is not None]
    most = f"{max(known):.2f} of {available_cores()} cores" if known else "not known"
    print(f"most that other programs used during a case: {most}")
    steps = [{**vars(case), "ms": measured} for case, measured in times.items()]
    print(json.dumps({"busy": options.busy, "elsewhere_cores": elsewhere, "steps": steps}))


def print_table(rows: Sequence[tuple[str, int]], counts: Sequence[int], times: dict[Case, list[float]]) -> None:
    """A line a model and batch size, a column a number of threads; medians in milliseconds."""
    print(f"{'model':<10}{'images':>8}" + "".join(f"{f'{threads} thr.':>10}" for threads in counts) + "   ms a step")
    for row in rows:
        medians = (statistics.median(times[Case(*row, threads)]) for threads in counts)
        print(f"{row[0]:<10}{row[1]:>8}" + "".join(f"{median:>10.3g}" for median in medians))


def in_own_process(case: Case, seconds: float) -> float:
    """`median_step_ms` in a fresh process with the environment of a worker."""
    chosen = [case.model, str(case.batch_size), str(case.threads)]
    done = subprocess.run(
        [sys.executable, __file__, "--seconds", str(seconds), "--case", *chosen],
        env=openmp_environment(case.threads), stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    return float(json.loads(done.stdout))


@contextmanager
def busy_programs(count: int) -> Iterator[None]:
    """Processes of this one that keep a core busy each, ended when the block is left."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def median_step_ms(case: Case, seconds: float) -> float:
    """Median of the steps that fit into `seconds`, at least one; cutting the batch included."""
    import torch

    from cifar_lab.assembly import build_cohort, layout
    from cifar_lab.config_io import settings_from
    from cifar_lab.data.batches import CohortBatches, Normalizer, ResidentSplit
    from cifar_lab.runtime import prepare_execution
    from cifar_lab.train import EagerSteps

    settings = settings_from(
        {
            "data": {"dataset": "synthetic", "batch_size": case.batch_size},
            "model": {"name": case.model},
            "runtime": {"device": "cpu"},
        }
    )
    execution = prepare_execution(settings.runtime, case.threads)
    generator = torch.Generator().manual_seed(0)
    images = 16 * case.batch_size  # an epoch of 16 steps, and none of them smaller than the others
    pixels = torch.randint(256, (images, 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels = torch.randint(10, (images,), generator=generator)
    memory_format = layout(settings.model, execution, stacked=False)
    normalizer = Normalizer.make("half", (0.5,) * 3, (0.25,) * 3, execution.device, memory_format)
    batches = CohortBatches(ResidentSplit(pixels.numpy(), labels.numpy(), normalizer), settings.data, [0])
    cohort, _ = build_cohort([settings], [0], 10, batches.steps_per_epoch, execution)
    steps = EagerSteps(cohort, batches, settings.loss.label_smoothing, execution, model_draws=False)
    cohort.train_mode()

    step_seconds: list[float] = []
    began = warm = time.perf_counter()
    while len(step_seconds) <= WARM_UP_STEPS or time.perf_counter() - warm < seconds:
        for _ in steps.epoch(0):
            now = time.perf_counter()
            step_seconds.append(now - began)
            began = now
            if len(step_seconds) == WARM_UP_STEPS:
                warm = now
            elif len(step_seconds) > WARM_UP_STEPS and now - warm >= seconds:
                break
    return statistics.median(step_seconds[WARM_UP_STEPS:]) * 1000


if __name__ == "__main__":
    main()
