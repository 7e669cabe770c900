"""Contradictions between the options of optimizers and schedules of torch and the classes that take them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cifar_lab.config.io.nearest_name import did_you_mean
from cifar_lab.config.optimizers import TorchOptimizer
from cifar_lab.config.schedulers import TorchSchedule

if TYPE_CHECKING:
    from cifar_lab.config import Settings

OWN_KEYS = {"lr": "optimizer.lr", "weight_decay": "optimizer.weight_decay"}
"""Arguments of an optimizer that are separate settings."""

NOT_FROM_YAML = {
    "params": "cifar-lab passes the parameters of the network",
    "optimizer": "cifar-lab passes the optimizer",
    "last_epoch": "a run always begins at the first epoch",
    "scale_fn": "a settings file holds no function; write the schedule as a function in a file",
}
"""Arguments that options never state, with the reason."""


def optimizer_options(settings: Settings) -> Iterator[str]:
    """Options that are no arguments of the class in torch.optim."""
    optimizer = settings.optimizer
    for name in optimizer.options if isinstance(optimizer, TorchOptimizer) else ():
        if name in OWN_KEYS and (name == "lr" or optimizer.component.decays):
            yield f"{name} is a separate setting; state {OWN_KEYS[name]}"
        elif name not in optimizer.component.arguments:
            yield _unknown(optimizer.name, name, optimizer.component.arguments)


def no_decay(settings: Settings) -> Iterator[str]:
    """Weight decay of an optimizer without."""
    optimizer = settings.optimizer
    if optimizer.weight_decay and not optimizer.component.decays:
        yield f"{optimizer.name} has no weight decay; remove it"


def group_rules(settings: Settings) -> Iterator[str]:
    """Groups that are no regular expression, or that the optimizer does not have."""
    optimizer = settings.optimizer
    if optimizer.groups and not optimizer.component.grouped:
        yield f"{optimizer.name} has one group of parameters; remove optimizer.groups"
    for group in optimizer.groups:
        try:
            re.compile(group.match)
        except re.error as error:
            yield f"match {group.match!r} is no regular expression ({error}); correct it"
        if group.weight_decay and not optimizer.component.decays:
            yield f"{optimizer.name} has no weight decay; remove it from the group {group.match!r}"
        if optimizer.name == "rprop" and group.lr_factor != 1:
            yield f"rprop uses the learning rate in its first step only; remove lr_factor of the group {group.match!r}"


def schedule_options(settings: Settings) -> Iterator[str]:
    """Options that are no arguments of the class in torch.optim.lr_scheduler, and required ones that are missing."""
    schedule = settings.scheduler
    if not isinstance(schedule, TorchSchedule):
        return
    entry = schedule.component
    for name in schedule.options:
        if name not in entry.arguments:
            yield _unknown(schedule.name, name, entry.arguments)
    for name in entry.required:
        if name not in schedule.options:
            yield f"{schedule.name} needs {name}; set scheduler.options.{name}"


def _unknown(choice: str, name: str, known: tuple[str, ...]) -> str:
    if name in NOT_FROM_YAML:
        return f"{name} cannot be stated: {NOT_FROM_YAML[name]}"
    return f"{choice} takes no {name}{did_you_mean(name, known) or '; it takes ' + ', '.join(known)}"


def rprop_schedule(settings: Settings) -> Iterator[str]:
    """A schedule that would have no effect."""
    if settings.optimizer.name == "rprop" and settings.scheduler.name != "none":
        yield "rprop uses the learning rate in its first step only, so no schedule has an effect; remove it"


def metric_names(settings: Settings) -> Iterator[str]:
    """Two metrics of one name, or one with a name that a metric of this lab has."""
    names = [metric.rpartition(":")[2] for metric in settings.metrics]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield f"two metrics have the name {name}, under which they are recorded; rename one of the functions"
    recorded = {
        "average": {"accuracy_last", "accuracy_ema"} if settings.average.name != "none" else set(),
        "evaluate.tta": {"accuracy_tta"} if settings.evaluate.tta == "flip" else set(),
    }
    for key, numbers in recorded.items():
        if taken := numbers & set(names):
            yield f"{min(taken)} is the name of a number of this lab beside {key}; rename the function"
