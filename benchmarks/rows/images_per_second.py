"""One baseline run, images a second, against the tutorial's loop at its best number of loader workers."""

from __future__ import annotations

from benchmarks.options import REFERENCE, Options
from benchmarks.outcome import Comparison, Target, geometric_mean
from benchmarks.rows.tutorial import best_workers

BATCH_SIZES = (8, 64, 512)


def measure(options: Options) -> list[Comparison]:
    """A comparison a batch size, and their geometric mean."""
    found = []
    for size in (64,) if options.quick else BATCH_SIZES:
        workers = 0 if options.quick else best_workers(options, size)
        threads = options.threads_alone("Net", size)
        found.append(
            options.harness.compare(
                Comparison(
                    f"images/s, batch {size}, {options.device}", "images/s", f"cifar-lab, {threads} threads",
                    f"tutorial's loop, {workers} loader workers",
                ),
                options.own("--set", f"data.batch_size={size}", threads=threads),
                options.peer(REFERENCE, "--batch-size", size, "--workers", workers),
            )
        )  # fmt: skip
    mean = geometric_mean(
        f"images/s, geometric mean, {options.device}", found, Target(least=20 if options.on_gpu else 3)
    )
    options.harness.book.keep(mean)
    return [*found, mean]
