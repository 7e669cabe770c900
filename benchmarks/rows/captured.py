"""One run on a GPU: its step replayed from a captured graph against the same step made by Python."""

from __future__ import annotations

from benchmarks.options import Options
from benchmarks.outcome import Comparison
from benchmarks.rows.images_per_second import BATCH_SIZES


def measure(options: Options) -> list[Comparison]:
    """A comparison a batch size of Net, and ResNet18 in bf16."""
    cases = [("Net", size, "fp32") for size in BATCH_SIZES] + [("ResNet18", 128, "bf16")]
    found = []
    for model, size, precision in cases[1:2] if options.quick else cases:
        settings = [
            *("--set", f"model.name={model}", "--set", f"data.batch_size={size}"),
            *("--set", f"runtime.precision={precision}"),
        ]
        found.append(
            options.harness.compare(
                Comparison(
                    f"{model}, batch {size}, {precision}, {options.device}, captured", "images/s", "captured", "eager"
                ),
                options.own(*settings, threads=1), options.own(*settings, "--eager", threads=1),
            )
        )  # fmt: skip
    return found
