"""Epochs of a linear probe on Net after the first, against epochs in which all layers train, on one thread."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.options import Options
from benchmarks.outcome import Comparison, Reading, Target
from benchmarks.processes import ROOT, whole

EPOCHS = 8
FULL_EPOCHS = 3
IMAGES = 45_000


def measure(options: Options) -> list[Comparison]:
    """One comparison in seconds per epoch, by the times that the runs record."""
    images = 2_000 if options.quick else IMAGES
    probe = _run(options, "probe", images, EPOCHS, "--set", "model.freeze=all_but_head")
    full = _run(options, "all layers", images, FULL_EPOCHS)
    full()  # images and kernels
    comparison = Comparison(
        f"an epoch of Net, {images:,} images, {options.device}", "s", "linear probe after its first epoch",
        "all layers", Target(most=1 / 20),
    )  # fmt: skip
    return [options.harness.compare(comparison, probe, full)]


def _run(options: Options, name: str, images: int, epochs: int, *more: str) -> Callable[[], Reading]:
    """Median seconds of an epoch after the first."""

    def run() -> Reading:
        results = options.fresh_folder(f"probe {name}")
        command = [
            sys.executable, "-m", "cifar_lab", "run", ROOT / "configs" / "baseline.yaml", "--seeds", "0",
            "--epochs", epochs, "--set", "data.dataset=synthetic", "--set", f"data.train_size={images}",
            "--set", f"runtime.device={options.device}", "--set", "runtime.threads=1", *more, "--results", results,
        ]  # fmt: skip
        reading = whole(command)
        seconds = _epoch_seconds(results)[1:]
        return Reading(median(seconds), 0.0, reading.peak_bytes, None, {"epoch_seconds": seconds})

    return run


def _epoch_seconds(results: Path) -> list[float]:
    (path,) = results.glob("runs/*/metrics.jsonl")
    return [json.loads(line)["seconds"] for line in path.read_text(encoding="utf-8").splitlines()]
