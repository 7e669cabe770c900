"""Schedules as tables that a scheduler of torch or a function of the user fills. No checkpoint keeps their state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer, lr_scheduler

from cifar_lab import config
from cifar_lab.core.errors import SettingsError
from cifar_lab.models.own_function import OwnCode
from cifar_lab.training.optim.rates import Array, RateSchedule

CYCLIC = ("OneCycleLR", "CyclicLR")
"""Schedulers that vary the momentum too, unless `cycle_momentum` is false."""


class _Holder(Optimizer):
    """Optimizer without an update, whose group a scheduler of torch changes."""

    def __init__(self, defaults: dict[str, Any]) -> None:
        super().__init__([torch.zeros(1, requires_grad=True)], defaults)

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Nothing. torch's schedulers expect the call."""


class TorchRate(RateSchedule[Any]):
    """A scheduler of torch. Its own code computes the rates, update by update."""

    def __init__(self, name: str, settings: config.TorchSchedule, lr: float, epochs: int, steps_per_epoch: int) -> None:
        super().__init__(settings, lr, epochs, steps_per_epoch)
        self._name, self._per_epoch = name, settings.every == "epoch"
        self.updates = epochs if self._per_epoch else self.total
        """Updates of the whole run."""
        self.group: Mapping[str, Any] = {}
        """Values of the optimizer: `momentum` or `betas`, which a cyclic schedule varies."""
        self.moves_momentum = name in CYCLIC and settings.options.get("cycle_momentum", True) is not False
        self._scheduler: Any = None
        self._rates: list[float] = []
        self._momenta: list[float] = []

    def unwarmed(self, epoch: int, steps: Array) -> Array:
        return self._read(self._rates, steps)

    def momentum(self, steps: Array) -> Array:
        return self._read(self._momenta, steps) if self.moves_momentum else super().momentum(steps)

    def _read(self, values: list[float], steps: Array) -> Array:
        index = steps.astype(np.int64) // (self.total // self.updates)
        while len(values) <= index[-1]:
            self._advance()
        return np.array(values)[index]

    def _advance(self) -> None:
        """Compute the values of the next update.

        Raises:
            SettingsError: the scheduler refuses its options or the length of the run.
        """
        try:
            if self._scheduler is None:
                self._scheduler = self._made()
            else:
                self._scheduler.optimizer.step()
                self._scheduler.step()
        except (TypeError, ValueError, ZeroDivisionError, RuntimeError) as error:
            line = (str(error).splitlines() or [type(error).__name__])[0]
            raise SettingsError(f"scheduler.options: torch's {self._name} refuses them: {line}; correct it") from error
        (group,) = self._scheduler.optimizer.param_groups
        self._rates.append(_rate(float(group["lr"]), f"torch's {self._name}", len(self._rates)))
        self._momenta.append(group["betas"][0] if "betas" in group else group.get("momentum", math.nan))

    def _made(self) -> Any:
        own = {name: self.group[name] for name in ("momentum", "betas") if name in self.group}
        holder = _Holder({"lr": self.base, **own})
        filled: dict[str, dict[str, Any]] = {
            "CosineAnnealingLR": {"T_max": self.updates},
            "OneCycleLR": {"total_steps": self.updates, "max_lr": self.base},
        }
        options = dict(self.settings.options)
        fill = filled.get(self._name, {})
        if {"epochs", "steps_per_epoch"} <= options.keys():
            fill.pop("total_steps", None)
        return getattr(lr_scheduler, self._name)(holder, **{**fill, **options})


StepLR, MultiStepLR, ExponentialLR, CosineAnnealingLR, CosineAnnealingWarmRestarts = (
    partial(TorchRate, name)
    for name in ("StepLR", "MultiStepLR", "ExponentialLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts")
)
OneCycleLR, CyclicLR, LinearLR, PolynomialLR, ConstantLR = (
    partial(TorchRate, name) for name in ("OneCycleLR", "CyclicLR", "LinearLR", "PolynomialLR", "ConstantLR")
)


class OwnRate(RateSchedule[config.CustomSchedule]):
    """A function of the user, which gives the factor of `optimizer.lr` at each step."""

    def __init__(self, settings: config.CustomSchedule, lr: float, epochs: int, steps_per_epoch: int) -> None:
        super().__init__(settings, lr, epochs, steps_per_epoch)
        self._own = OwnCode("scheduler.name", settings.name)
        self._own.check_options(settings.options, 2)

    def unwarmed(self, epoch: int, steps: Array) -> Array:
        return np.array([self.base * self._factor(int(step)) for step in steps])

    def _factor(self, step: int) -> float:
        try:
            found = self._own.called(step, self.total, **self.settings.options)
            factor = float(found)
        except Exception as error:
            raise self._own.refusal(
                f"fails at step {step} of {self.total}: {self._own.describe(error)}; return the factor as a number"
            ) from error
        return _rate(factor, f"scheduler.name: {self._own.name}", step, "factor")


def _rate(value: float, of: str, number: int, kind: str = "learning rate") -> float:
    """The value. Raises SettingsError unless it is finite and not negative."""
    if math.isfinite(value) and value >= 0:
        return value
    raise SettingsError(f"{of}: the {kind} {value:g} at update {number} is not a number of at least 0; correct it")
