"""Points of the 320-point grid, runs a second, against our own sequential engine.

On the CPU that is one worker process against one a core; on a GPU runs one by one against cohorts. Points are drawn
with equally many of each batch size.
"""

from __future__ import annotations

from benchmarks.command_images import command_images
from benchmarks.harness import ComparisonTarget
from benchmarks.options import Options
from benchmarks.outcome import Comparison, Reading, Target
from benchmarks.processes import told

RUNS = "benchmarks.own.runs"
EPOCHS = {"cpu": 1, "cuda": 10}
POINTS = 320
SEQUENTIAL_POINTS = 32
VALIDATION_SHARE = 10
"""One of so many images is validated on, as 5,000 of 50,000 are."""


def measure(options: Options) -> list[Comparison]:
    """One comparison."""
    images, epochs = command_images(options), 1 if options.quick else EPOCHS[options.device]
    points = 8 if options.quick else POINTS
    train = images.train_images
    given = [
        *images.settings, "--set", f"runtime.device={options.device}", "--set", f"epochs={epochs}",
        "--set", f"data.val_size={train // VALIDATION_SHARE}",
    ]  # fmt: skip

    def side(points: int, *how: object) -> ComparisonTarget:
        def measure() -> Reading:
            return told(RUNS, "grid", "--points", points, "--results", options.fresh_folder("grid"), *given, *how)

        return measure

    if options.on_gpu:
        names = f"cohorts, {points} points", f"one run after the other, {SEQUENTIAL_POINTS} points"
        sides = side(points), side(SEQUENTIAL_POINTS, "--workers", 1, "--set", "runtime.cohort=1")
    else:
        names = f"{options.cores} workers", "1 worker"
        sides = side(points, "--workers", options.cores), side(points, "--workers", 1)
    comparison = Comparison(
        f"grid, {points} points, {epochs} epochs of {train} images, {options.device}", "runs/s", *names,
        Target(least=15 if options.on_gpu else 1.9),
    )  # fmt: skip
    return [options.harness.compare(comparison, *sides)]
