"""The 24 runs by Lightning's Trainer, run after run in each of two processes."""

from __future__ import annotations

import logging
import multiprocessing
from argparse import Namespace
from functools import partial
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from benchmarks.peers.networks import build
from benchmarks.peers.recipes import Recipe, make_optimizer
from benchmarks.peers.reference_loop import loader
from benchmarks.peers.same_runs.task import PROCESSES, RUNS, arguments, splits
from benchmarks.stopwatch import report


class Network(lightning.LightningModule):
    """The tutorial's network with its loss."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        super().__init__()
        self.recipe, self.net = recipe, build(recipe.model, seed)
        self.right = self.total = 0

    def training_step(self, batch: Any, index: int) -> Tensor:
        images, labels = batch
        return nn.functional.cross_entropy(self.net(images), labels)

    def test_step(self, batch: Any, index: int) -> None:
        images, labels = batch
        self.right += int((self.net(images).argmax(1) == labels).sum())
        self.total += len(labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return make_optimizer(self.recipe, self.net.parameters())


def fit(args: Namespace, optimizer: str, lr: float, seed: int) -> float:
    """Train one run and return its test accuracy."""
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    training, test = splits(args.cache, args.random_images)
    recipe, device = Recipe(optimizer=optimizer, lr=lr), torch.device("cpu")
    trainer = lightning.Trainer(
        max_epochs=args.epochs, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    network = Network(recipe, seed)
    trainer.fit(network, loader(*training, recipe, 0, device, train=True))
    trainer.test(network, loader(*test, recipe, 0, device, train=False), verbose=False)
    return network.right / network.total


def main() -> None:
    args = arguments()
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        found = pool.starmap(partial(fit, args), RUNS, chunksize=1)
    report({"value": len(found), "best": max(found)})


if __name__ == "__main__":
    main()
