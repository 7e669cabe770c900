"""K runs of one batch size: cifar-lab's cohort against the HFTA-style one, and against its own runs one by one."""

from __future__ import annotations

from benchmarks.options import FUSED, Options
from benchmarks.outcome import Comparison, Target

BATCH_SIZE = 64


def measure(options: Options) -> list[Comparison]:
    """Stacked and captured where that is possible; on a GPU also what capturing alone is worth."""
    members = 2 if options.quick else options.members
    threads = options.cores if not options.on_gpu else 1
    size = ["--set", f"data.batch_size={BATCH_SIZE}", "--members", members]
    stacked = options.own(*size, threads=threads)
    name = f"K = {members}, batch {BATCH_SIZE}, {options.device}"
    found = [
        options.harness.compare(
            Comparison(
                f"{name}, against HFTA", "images/s", "cifar-lab's cohort", "HFTA-style cohort",
                Target(least=2) if options.on_gpu else Target(),
            ),
            stacked, options.peer(FUSED, "--members", members, "--batch-size", BATCH_SIZE),
        )
    ]  # fmt: skip
    found.append(
        options.harness.compare(
            Comparison(f"{name}, against one by one", "images/s", "cifar-lab's cohort", "its networks one by one"),
            stacked, options.own(*size, "--one-by-one", threads=threads),
        )
    )  # fmt: skip
    if options.on_gpu:
        found.append(
            options.harness.compare(
                Comparison(f"{name}, captured against eager", "images/s", "step captured", "step eager"),
                stacked, options.own(*size, "--eager", threads=threads),
            )
        )  # fmt: skip
    return found
