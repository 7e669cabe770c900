"""The arms of questions q1 to q7 for the peers: what configs/*.yaml say, in torch's own optimizers and schedulers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor, optim
from torch.optim import lr_scheduler


@dataclass(frozen=True)
class Recipe:
    """How one network is trained."""

    model: str = "Net"
    optimizer: str = "sgd"
    scheduler: str = "none"
    batch_size: int = 64
    flip: bool = False
    lr: float = 0.001


BASELINE = Recipe()

ARMS = {
    "baseline": BASELINE,
    "q1_batch_128": Recipe(batch_size=128),
    "q1_batch_512": Recipe(batch_size=512),
    "q2_flip": Recipe(flip=True),
    "q3_adam": Recipe(optimizer="adam"),
    "q3_adamw": Recipe(optimizer="adamw"),
    "q4_cosine": Recipe(scheduler="cosine"),
    "q4_one_cycle": Recipe(scheduler="one_cycle"),
    "q4_plateau": Recipe(scheduler="plateau"),
    "q4_step": Recipe(scheduler="step"),
    "q5_net1": Recipe(model="Net1"),
    "q6_net2": Recipe(model="Net2"),
    "q7_net3": Recipe(model="Net3"),
}
"""By the name of the settings file."""


def make_optimizer(recipe: Recipe, parameters: Iterable[Tensor]) -> optim.Optimizer:
    """torch's, with its defaults."""
    if recipe.optimizer == "adam":
        return optim.Adam(parameters, lr=recipe.lr)
    if recipe.optimizer == "adamw":
        return optim.AdamW(parameters, lr=recipe.lr)
    return optim.SGD(parameters, lr=recipe.lr, momentum=0.9)


class Schedule:
    """One of torch's schedulers, told of each step and of each epoch's mean training loss."""

    def __init__(self, recipe: Recipe, optimizer: optim.Optimizer, epochs: int, steps_per_epoch: int) -> None:
        steps = epochs * steps_per_epoch
        self._by_step: lr_scheduler.LRScheduler | None = None
        self._by_epoch: lr_scheduler.LRScheduler | None = None
        self._plateau: lr_scheduler.ReduceLROnPlateau | None = None
        if recipe.scheduler == "cosine":
            self._by_step = lr_scheduler.CosineAnnealingLR(optimizer, steps)
        elif recipe.scheduler == "one_cycle":
            self._by_step = lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=steps)
        elif recipe.scheduler == "step":
            self._by_epoch = lr_scheduler.StepLR(optimizer, step_size=3)
        elif recipe.scheduler == "plateau":
            self._plateau = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=5)
        self._left = steps

    def step(self) -> None:
        """After each update but the last, beyond which torch's schedules by step are not defined."""
        self._left -= 1
        if self._by_step is not None and self._left > 0:
            self._by_step.step()

    def epoch(self, loss: float) -> None:
        """After each epoch."""
        if self._by_epoch is not None:
            self._by_epoch.step()
        if self._plateau is not None:
            self._plateau.step(loss)
