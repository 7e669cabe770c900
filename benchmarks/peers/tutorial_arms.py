"""The arms of q1 to q7 with the tutorial's loop, arm after arm in one process: seconds for all of it.

    python -m benchmarks.peers.tutorial_arms --zip cifar10-jpeg.zip --cache /tmp/cache --workers 2

Of its epochs and seeds as many are run as `--run-epochs` and `--run-seeds` say; the time of the rest is taken to be
the same, which the output says.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.peers.images import Pixels, decode, load, random_images
from benchmarks.peers.networks import build
from benchmarks.peers.recipes import ARMS
from benchmarks.peers.reference_loop import evaluate, loader, train
from benchmarks.stopwatch import process_start, report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--zip", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--random-images", type=int, help="made up, instead of a zip")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--run-epochs", type=int, help="of the epochs; default: all")
    parser.add_argument("--run-seeds", type=int, help="of the seeds; default: all")
    parser.add_argument("--workers", type=int, default=2, help="DataLoader workers")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    args = parser.parse_args()
    if args.random_images is None and (args.zip is None or args.cache is None):
        parser.error("say --zip with --cache, or --random-images")
    run_epochs, run_seeds = args.run_epochs or args.epochs, args.run_seeds or args.seeds
    device = torch.device(args.device)
    if args.random_images is None:
        decode(args.zip, args.cache)
        splits = load(args.cache, "train"), load(args.cache, "test")
    else:
        splits = random_images(args.random_images), random_images(max(10, args.random_images // 5))
    start_up = time.monotonic() - process_start()
    seconds = {arm: arm_seconds(arm, splits, args.workers, device, run_epochs, run_seeds) for arm in args.arms}
    trained = sum(spent[0] for spent in seconds.values()) * args.epochs / run_epochs * args.seeds / run_seeds
    tested = sum(spent[1] for spent in seconds.values()) * args.seeds / run_seeds
    report(
        {
            "value": start_up + trained + tested,
            "start_up_seconds": start_up,
            "measured_epochs": f"{run_epochs} of {args.epochs}",
            "measured_seeds": f"{run_seeds} of {args.seeds}",
            "seconds": seconds,
        }
    )


def arm_seconds(
    arm: str, splits: Sequence[tuple[Pixels, np.ndarray]], workers: int, device: torch.device, epochs: int, seeds: int
) -> tuple[float, float]:
    """(training, test) of an arm's first `seeds` seeds."""
    (training, test), recipe = splits, ARMS[arm]
    trained = tested = 0.0
    for seed in range(seeds):
        began = time.perf_counter()
        net = build(recipe.model, seed).to(device)
        for _ in train(net, loader(*training, recipe, workers, device, train=True), recipe, epochs, device):
            pass
        middle = time.perf_counter()
        evaluate(net, loader(*test, recipe, workers, device, train=False), device)
        trained, tested = trained + middle - began, tested + time.perf_counter() - middle
    return trained, tested


if __name__ == "__main__":
    main()
