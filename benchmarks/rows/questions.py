"""q1 to q7 with three seeds as one command, wall time against the tutorial's loop run arm after arm.

Both see the same share of the images, a tenth on the CPU. The loop trains one seed of each arm for one of the ten
epochs; the rest is taken to last as long, and the comparison says so. cifar-lab does everything.
"""

from __future__ import annotations

import sys
from functools import partial

from benchmarks.command_images import command_images
from benchmarks.options import Options
from benchmarks.outcome import Comparison, Reading, Target
from benchmarks.processes import ROOT, told, whole
from benchmarks.rows.tutorial import best_workers

PEER = "benchmarks.peers.tutorial_arms"

QUICK_ARMS = ["baseline", "q3_adam"]


def measure(options: Options) -> list[Comparison]:
    """One comparison; lower is better."""
    images = command_images(options)
    shipped = [path.stem for path in sorted((ROOT / "configs").glob("q[1-7]*.yaml")) if path.stem != "q3_tuned"]
    names = QUICK_ARMS if options.quick else shipped
    arms = names if options.quick else ["baseline", *names]
    files = [ROOT / "configs" / f"{name}.yaml" for name in arms]
    epochs, seeds = (1, 1) if options.quick else (10, 3)
    workers = 0 if options.quick else best_workers(options, 64)

    def candidate() -> Reading:
        changes = [*images.settings, "--set", f"runtime.device={options.device}", "--set", f"epochs={epochs}"]
        return whole(
            [sys.executable, "-m", "cifar_lab", "run", *files, *changes, "--seeds", f"0-{seeds - 1}", "--results",
             options.fresh_folder("questions")]
        )  # fmt: skip

    options.say("a first run, which also fills the caches, is not counted")
    candidate()
    share = f"{images.share:g} of the images" if images.share < 1 else "all images"
    comparison = Comparison(
        f"q1 to q7, {len(arms)} arms, {seeds} seeds, {options.device}", "s",
        f"cifar-lab run, {share}, {epochs} epochs",
        f"tutorial's loop, {share}, {workers} loader workers, scaled from one seed and one epoch",
        Target(most=1 / 100 if options.on_gpu else 1 / 3),
    )  # fmt: skip
    peer = partial(
        told, PEER, *images.peer, "--arms", *arms, "--epochs", epochs, "--seeds", seeds, "--run-epochs", 1,
        "--run-seeds", 1, "--workers", workers, "--device", options.device,
    )  # fmt: skip
    return [options.harness.compare(comparison, candidate, peer)]
