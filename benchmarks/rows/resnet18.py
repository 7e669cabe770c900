"""ResNet18, batch 128: cifar-lab's settings against fp32 eager torch with resident images."""

from __future__ import annotations

from benchmarks.options import RESIDENT, Options
from benchmarks.outcome import Comparison, Target

BATCH_SIZE = 128


def measure(options: Options) -> list[Comparison]:
    """In bf16, which the target is for, and in fp32."""
    size = 8 if options.quick else BATCH_SIZE
    threads = options.threads_alone("ResNet18", size)
    target = Target(least=2.5 if options.on_gpu else 2.0)
    return [
        options.harness.compare(
            Comparison(
                f"ResNet18, batch {size}, {precision}, {options.device}", "images/s",
                f"cifar-lab, {precision}, {threads} threads", "resident images, fp32, eager", asked,
            ),
            options.own(
                "--set", "model.name=ResNet18", "--set", f"data.batch_size={size}", "--set",
                f"runtime.precision={precision}", threads=threads,
            ),
            options.peer(RESIDENT, "--model", "ResNet18", "--batch-size", size),
        )
        for precision, asked in (("bf16", target), ("fp32", Target()))
    ]  # fmt: skip
