"""The share of a step that goes to its images: cutting, mirroring, cropping and normalising the batch."""

from __future__ import annotations

from benchmarks.options import Options
from benchmarks.outcome import Comparison, Target
from benchmarks.rows.images_per_second import BATCH_SIZES
from benchmarks.scaled import milliseconds

AUGMENTED = ["--set", "data.flip=true", "--set", "data.crop_padding=4"]


def measure(options: Options) -> list[Comparison]:
    """The baseline's batches, and those with flips and crops, one thread."""
    found = []
    for size in (64,) if options.quick else BATCH_SIZES:
        for name, extra in (("plain", []), ("flip and crop", AUGMENTED)):
            settings = ["--set", f"data.batch_size={size}", *extra]
            found.append(
                options.harness.compare(
                    Comparison(
                        f"data share, batch {size}, {name}, {options.device}", "ms a step", "its images alone",
                        "the whole step", Target(most=0.1),
                    ),
                    milliseconds(options.own(*settings, "--data-only", threads=1)),
                    milliseconds(options.own(*settings, threads=1)),
                )
            )  # fmt: skip
    return found
