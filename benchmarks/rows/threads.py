"""Milliseconds per step of a run alone by model, batch size and CPU threads: the data behind `training.threads`.

Each number of threads is compared with one thread, on an idle machine and beside a busy program.
"""

from __future__ import annotations

from benchmarks.harness import ComparisonTarget
from benchmarks.options import Options
from benchmarks.outcome import Comparison
from benchmarks.rows.foreign_process import beside
from benchmarks.scaled import milliseconds

BATCH_SIZES = {"Net": (8, 64, 512), "ResNet18": (8, 64, 128)}


def measure(options: Options) -> list[Comparison]:
    """A comparison a model, batch size, number of threads above one, and company."""
    cases = [(model, size) for model, sizes in BATCH_SIZES.items() for size in sizes]
    found = []
    for model, size in cases[:1] if options.quick else cases:
        settings = ["--set", f"model.name={model}", "--set", f"data.batch_size={size}"]

        def step(threads: int, settings: list[str] = settings) -> ComparisonTarget:
            return milliseconds(options.own(*settings, threads=threads))

        for threads in range(2, max(2, options.cores) + 1):
            for company, change in (("idle machine", None), ("beside a busy program", beside)):
                sides = step(threads), step(1)
                found.append(
                    options.harness.compare(
                        Comparison(
                            f"{model}, batch {size}, {company}", "ms a step", f"{threads} threads", "1 thread"
                        ),
                        *(sides if change is None else map(change, sides)),
                    )
                )  # fmt: skip
    return found
