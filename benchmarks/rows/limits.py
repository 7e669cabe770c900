"""How near a step comes to what the machine can do: of its matrix products' rate and of its memory's copy rate.

FLOPs are counted by torch (`FlopCounterMode`: convolutions and matrix products, forward and backward), bytes as what
each operation of the step reads and writes if nothing stays in a cache. The rates are measured on the same threads.
"""

from __future__ import annotations

from functools import partial

from benchmarks.options import Options
from benchmarks.outcome import Comparison
from benchmarks.processes import told
from benchmarks.rows.images_per_second import BATCH_SIZES
from cifar_lab.core.openmp import openmp_environment

LIMITS = "benchmarks.own.limits"


def measure(options: Options) -> list[Comparison]:
    """Two comparisons a batch size of Net, of ResNet18 and, on a GPU, of a cohort of Net."""
    cases = [("Net", size, 1) for size in ((64,) if options.quick else BATCH_SIZES)]
    if not options.quick:
        cases.append(("ResNet18", 128, 1))
    if options.on_gpu:
        cases.append(("Net", 64, options.members))
    found = []
    for model, size, members in cases:
        name = f"{members} × {model}" if members > 1 else model
        threads = options.threads_alone(model, size)
        settings = ["--set", f"model.name={model}", "--set", f"data.batch_size={size}"]
        run = partial(
            told, LIMITS, *settings, "--set", f"runtime.device={options.device}", "--threads", threads,
            "--members", members, "--seconds", 0.2 if options.quick else options.seconds,
            environment=openmp_environment(threads),
        )  # fmt: skip
        for unit, of, limit in (("GFLOP/s", "flops", "matmul"), ("GB/s", "bytes", "copy")):
            found.append(
                options.harness.compare(
                    Comparison(
                        f"{name}, batch {size}, {options.device}: share of the {limit} rate", unit,
                        f"a step, {threads} threads", f"{limit}, {threads} threads",
                    ),
                    partial(run, of), partial(run, limit),
                )
            )  # fmt: skip
    return found
