"""ResNet18, batch 128: cifar-lab's settings against fp32 eager torch with resident images.

On a GPU also without determinism, and four runs on streams against the same one after the other.
"""

from __future__ import annotations

from benchmarks.command_images import as_options
from benchmarks.harness import ComparisonTarget
from benchmarks.options import RESIDENT, Options
from benchmarks.outcome import Comparison, Reading, Target
from benchmarks.processes import told

BATCH_SIZE = 128

RUNS, EPOCHS = 4, 4
"""Of the runs on streams. One epoch takes less time than the start."""


def measure(options: Options) -> list[Comparison]:
    """In bf16, which the target is for, and in fp32."""
    target = Target(least=2.5 if options.on_gpu else 2.0)
    found = [_steps(options, "bf16", target), _steps(options, "fp32", Target())]
    if options.on_gpu:
        found += [_steps(options, "bf16", target, "runtime.deterministic=false"), _streams(options)]
    return found


def _steps(options: Options, precision: str, target: Target, *more: str) -> Comparison:
    size = 8 if options.quick else BATCH_SIZE
    threads = options.threads_alone("ResNet18", size)
    words = ", ".join((precision, *more))
    given = ("model.name=ResNet18", f"data.batch_size={size}", f"runtime.precision={precision}", *more)
    return options.harness.compare(
        Comparison(
            f"ResNet18, batch {size}, {words}, {options.device}", "images/s",
            f"cifar-lab, {words}, {threads} threads", "resident images, fp32, eager", target,
        ),
        options.own(*as_options(given), threads=threads),
        options.peer(RESIDENT, "--model", "ResNet18", "--batch-size", size),
    )  # fmt: skip


def _streams(options: Options) -> Comparison:
    """Seconds of whole commands."""
    given = (
        "model.name=ResNet18", f"data.batch_size={BATCH_SIZE}", "runtime.precision=bf16", "data.dataset=synthetic",
        f"data.train_size={options.images}", "data.test_size=1000", "data.val_size=0", f"epochs={EPOCHS}",
        f"runtime.device={options.device}",
    )  # fmt: skip

    def side(workers: int) -> ComparisonTarget:
        def measure() -> Reading:
            return told(
                "benchmarks.own.runs", "seeds", "--points", RUNS, "--workers", workers, "--results",
                options.fresh_folder("streams"), *as_options(given),
            )  # fmt: skip

        return measure

    comparison = Comparison(
        f"ResNet18, batch {BATCH_SIZE}, bf16, {RUNS} runs, {options.device}", "s", f"{RUNS} streams",
        "one after the other", Target(most=1),
    )  # fmt: skip
    return options.harness.compare(comparison, side(RUNS), side(1))
