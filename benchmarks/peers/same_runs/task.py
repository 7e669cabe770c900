"""One run of the 24, for every tool: the tutorial's network and loop, one thread, its test accuracy at the end."""

from __future__ import annotations

import argparse
import itertools
from functools import cache
from pathlib import Path

import numpy as np
import torch

from benchmarks.peers.images import Pixels, decode, load, random_images
from benchmarks.peers.networks import build
from benchmarks.peers.recipes import Recipe
from benchmarks.peers.reference_loop import evaluate, loader, train

OPTIMIZERS, RATES, SEEDS = ("sgd", "adam"), (0.1, 0.01, 0.001, 0.0001), (0, 1, 2)

RUNS = list(itertools.product(OPTIMIZERS, RATES, SEEDS))
"""(optimizer, learning rate, seed) of each run."""

PROCESSES = 2


def arguments() -> argparse.Namespace:
    """Arguments of every peer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--zip", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--random-images", type=int, help="made up, instead of a zip")
    parser.add_argument("--epochs", type=int, default=2)
    args = parser.parse_args()
    if args.random_images is None and (args.zip is None or args.cache is None):
        parser.error("say --zip with --cache, or --random-images")
    if args.random_images is None:
        args.zip, args.cache = args.zip.resolve(), args.cache.resolve()
        decode(args.zip, args.cache)
    return args


@cache
def splits(cache: Path | None, made_up: int | None) -> tuple[tuple[Pixels, np.ndarray], tuple[Pixels, np.ndarray]]:
    """Training and test images, read once per process."""
    if made_up is not None:
        return random_images(made_up), random_images(max(10, made_up // 5))
    assert cache is not None
    return load(cache, "train"), load(cache, "test")


def accuracy(args: argparse.Namespace, optimizer: str, lr: float, seed: int) -> float:
    """Train one run and return its test accuracy."""
    torch.set_num_threads(1)
    training, test = splits(args.cache, args.random_images)
    recipe, device = Recipe(optimizer=optimizer, lr=lr), torch.device("cpu")
    net = build(recipe.model, seed)
    for _ in train(net, loader(*training, recipe, 0, device, train=True), recipe, args.epochs, device):
        pass
    return float(evaluate(net, loader(*test, recipe, 0, device, train=False), device))
