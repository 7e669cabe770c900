"""A whole `cifar-lab run` of the baseline against the tutorial's loop: process start to record written."""

from __future__ import annotations

import sys

from benchmarks.command_images import command_images
from benchmarks.options import REFERENCE, Options
from benchmarks.outcome import Comparison, Reading
from benchmarks.processes import ROOT, whole
from benchmarks.rows.tutorial import best_workers


def measure(options: Options) -> list[Comparison]:
    """One comparison; both read decoded images from a warm cache."""
    images, epochs = command_images(options), 1 if options.quick else 10
    workers = 0 if options.quick else best_workers(options, 64)

    def candidate() -> Reading:
        return whole(
            [sys.executable, "-m", "cifar_lab", "run", ROOT / "configs" / "baseline.yaml", "--seeds", "0",
             *images.settings, "--set", f"epochs={epochs}", "--set", f"runtime.device={options.device}",
             "--results", options.fresh_folder("whole_run")]
        )  # fmt: skip

    def peer() -> Reading:
        return whole(
            [sys.executable, "-m", REFERENCE, *images.peer, "--epochs", epochs, "--workers", workers, "--device",
             options.device]
        )  # fmt: skip

    options.say("a first run of each, which also fills the caches, is not counted")
    candidate()
    peer()
    comparison = Comparison(
        f"a whole baseline run, {epochs} epochs, {options.device}", "s", "cifar-lab run",
        f"tutorial's loop, {workers} loader workers",
    )  # fmt: skip
    return [options.harness.compare(comparison, candidate, peer)]
