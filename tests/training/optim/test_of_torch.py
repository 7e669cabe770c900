"""Classes of torch that settings offer: all of them, with all their arguments."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from cifar_lab.config import TorchOptimizer, TorchSchedule
from cifar_lab.config.io.check import REFUSED
from cifar_lab.config.io.setting_keys import sections
from cifar_lab.config.option_rules import NOT_FROM_YAML

OPTIMIZERS = {cls.__name__: cls for cls in sections()["optimizer"] if issubclass(cls, TorchOptimizer)}
SCHEDULERS = {cls.__name__: cls for cls in sections()["scheduler"] if issubclass(cls, TorchSchedule)}

OTHERWISE = {"Optimizer", "SGD", "Adam", "AdamW", "Muon"}
"""Classes of torch.optim with settings elsewhere, or that take matrices only."""

OWN_SCHEDULES = {"LRScheduler", "_LRScheduler", "ReduceLROnPlateau"}
"""Base class under two names, and the scheduler that is called plateau."""


def arguments(cls: type) -> dict[str, Any]:
    """Arguments of a class and their defaults, without those that options never state."""
    found = dict(inspect.signature(cls).parameters)
    return {name: each.default for name, each in found.items() if name not in NOT_FROM_YAML}


def refused(section: str) -> set[str]:
    return {name for of, name in REFUSED if of == section}


def test_every_optimizer_of_torch_is_offered_or_refused_by_name() -> None:
    known = {name for name, cls in vars(torch.optim).items() if isinstance(cls, type)}
    left = {name for name in known - OPTIMIZERS.keys() - OTHERWISE if name.lower() not in refused("optimizer")}
    assert left == set()


def test_every_scheduler_of_torch_is_offered_or_refused_by_name() -> None:
    known = {
        name
        for name, cls in vars(lr_scheduler).items()
        if isinstance(cls, type) and issubclass(cls, lr_scheduler.LRScheduler)
    }
    left = {name for name in known - SCHEDULERS.keys() - OWN_SCHEDULES if name.lower() not in refused("scheduler")}
    assert left == set()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_options_of_an_optimizer_are_the_arguments_of_its_class(name: str) -> None:
    cls = OPTIMIZERS[name]
    own = {"lr", *(["weight_decay"] if cls.component.decays else [])}
    taken = arguments(getattr(torch.optim, name))
    assert set(cls.component.arguments) == taken.keys() - own
    assert cls.model_fields["lr"].default == taken["lr"]
    assert cls.model_fields["name"].annotation.__args__ == (name.lower(),)  # type: ignore[union-attr]
    assert not cls.component.decays or taken["weight_decay"] == cls.model_fields["weight_decay"].default


@pytest.mark.parametrize("name", SCHEDULERS)
def test_options_of_a_scheduler_are_the_arguments_of_its_class(name: str) -> None:
    cls = SCHEDULERS[name]
    taken = arguments(getattr(lr_scheduler, name))
    assert set(cls.component.arguments) == taken.keys()
    filled = {"T_max", "max_lr"} if name in ("CosineAnnealingLR", "OneCycleLR") else set()
    required = {argument for argument, default in taken.items() if default is inspect.Parameter.empty}
    assert set(cls.component.required) == required - filled
