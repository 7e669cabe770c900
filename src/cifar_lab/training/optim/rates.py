"""Learning rates of one run, and its momenta if a schedule varies them: torch's schedulers, one epoch at a time.

Steps count from 0. All but the plateau are closed-form functions of the step, which differ from torch's step-by-step
products by rounding only. The plateau carries state from epoch to epoch.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from cifar_lab import config

S = TypeVar("S", bound=config.Scheduler)

Array = NDArray[np.float64]

PLATEAU_EPS = 1e-8
"""A cut of the learning rate by no more than this is skipped: the default `eps` of torch's ReduceLROnPlateau."""


@dataclass
class PlateauState:
    """State of ReduceLROnPlateau between epochs."""

    lr: float
    best: float | None = None
    """Best value so far. None before the first."""
    bad_epochs: int = 0
    cooldown_left: int = 0
    """Epochs."""

    def end_epoch(self, settings: config.Plateau, metric: float | None) -> None:
        """Update with the monitored value of an epoch. None, for a value that was not finite, is no improvement."""
        if metric is not None and self._is_better(settings, metric):
            self.best, self.bad_epochs = metric, 0
        else:
            self.bad_epochs += 1
        if self.cooldown_left > 0:
            self.cooldown_left -= 1
            self.bad_epochs = 0
        if self.bad_epochs > settings.patience:
            lr = max(self.lr * settings.factor, settings.min_lr)
            if self.lr - lr > PLATEAU_EPS:
                self.lr = lr
            self.cooldown_left, self.bad_epochs = settings.cooldown, 0

    def _is_better(self, settings: config.Plateau, metric: float) -> bool:
        if self.best is None:
            return True
        if settings.monitor == "val_accuracy":
            return metric > self.best * (1 + settings.threshold)
        return metric < self.best * (1 - settings.threshold)


class RateSchedule(ABC, Generic[S]):
    """Learning rate of one run over its steps, and its momentum if the schedule varies it."""

    moves_momentum = False
    """Whether `momentum` returns values other than NaN."""

    def __init__(self, settings: S, lr: float, epochs: int, steps_per_epoch: int) -> None:
        """`lr`: `optimizer.lr` of the run."""
        self.settings, self.base, self.total = settings, lr, epochs * steps_per_epoch
        self._warmup_steps = getattr(settings, "warmup_epochs", 0.0) * steps_per_epoch

    def lr(self, epoch: int, steps: Array) -> Array:
        """Learning rates at `steps` of `epoch`, (steps_per_epoch,), the warm-up included."""
        return self.unwarmed(epoch, steps) * np.minimum((steps + 1) / max(self._warmup_steps, 1), 1)

    @abstractmethod
    def unwarmed(self, epoch: int, steps: Array) -> Array:
        """As `lr`, without the warm-up."""

    def momentum(self, steps: Array) -> Array:
        """Momentum or first beta at `steps`, (steps_per_epoch,). NaN keeps the optimizer's own value."""
        return np.full_like(steps, math.nan)

    def end_epoch(self, numbers: Mapping[str, float | None]) -> None:
        """Update with the metrics of an epoch, see `CohortSchedule.end_epoch`."""

    def memory(self) -> dict[str, Any] | None:
        """State that later epochs depend on, as plain numbers. None for a schedule without state."""
        return None

    def remember(self, memory: dict[str, Any]) -> None:
        """Restore the state from `memory`."""


class ConstantRate(RateSchedule[config.NoSchedule]):
    """The learning rate of the optimizer throughout."""

    def unwarmed(self, epoch: int, steps: Array) -> Array:
        return np.full_like(steps, self.base)


class PlateauRate(RateSchedule[config.Plateau]):
    """torch's ReduceLROnPlateau."""

    def __init__(self, settings: config.Plateau, lr: float, epochs: int, steps_per_epoch: int) -> None:
        super().__init__(settings, lr, epochs, steps_per_epoch)
        self._state = PlateauState(lr)

    def unwarmed(self, epoch: int, steps: Array) -> Array:
        return np.full_like(steps, self._state.lr)

    def end_epoch(self, numbers: Mapping[str, float | None]) -> None:
        monitor = self.settings.monitor
        if monitor not in numbers:
            raise ValueError(f"the plateau schedule monitors {monitor}, which is not among the metrics")
        self._state.end_epoch(self.settings, numbers[monitor])

    def memory(self) -> dict[str, Any]:
        return asdict(self._state)

    def remember(self, memory: dict[str, Any]) -> None:
        self._state = PlateauState(**memory)


class StepRate(RateSchedule[config.Step]):
    """torch's StepLR."""

    def unwarmed(self, epoch: int, steps: Array) -> Array:
        return np.full_like(steps, self.base * self.settings.gamma ** (epoch // self.settings.step_epochs))


class CosineRate(RateSchedule[config.Cosine]):
    """torch's CosineAnnealingLR over all steps."""

    def unwarmed(self, epoch: int, steps: Array) -> Array:
        last = self.settings.min_lr
        return last + (self.base - last) * (1 + np.cos(math.pi * steps / self.total)) / 2


class OneCycleRate(RateSchedule[config.OneCycle]):
    """torch's OneCycleLR."""

    def __init__(self, settings: config.OneCycle, lr: float, epochs: int, steps_per_epoch: int) -> None:
        super().__init__(settings, lr, epochs, steps_per_epoch)
        self.moves_momentum = settings.cycle_momentum

    def lr(self, epoch: int, steps: Array) -> Array:
        """Learning rates without a separate warm-up, because the cycle starts with a rise."""
        return self.unwarmed(epoch, steps)

    def unwarmed(self, epoch: int, steps: Array) -> Array:
        settings = self.settings
        peak = self.base if settings.max_lr is None else settings.max_lr
        first = peak / settings.div_factor
        return _one_cycle(steps, self.total, settings.pct_start, first, peak, first / settings.final_div_factor)

    def momentum(self, steps: Array) -> Array:
        if not self.moves_momentum:
            return super().momentum(steps)
        ends, peak = self.settings.max_momentum, self.settings.base_momentum
        return _one_cycle(steps, self.total, self.settings.pct_start, ends, peak, ends)


def _one_cycle(steps: Array, total: int, pct_start: float, first: float, peak: float, last: float) -> Array:
    """torch's OneCycleLR with cosines and two phases: from `first` to `peak`, then to `last` at step total − 1.

    The peak lies at step pct_start · total − 1, as torch has it. Where that is before step 0 the run begins on the way
    down (a run of one step has `last`); where it is step 0, which torch divides by zero at, the run begins at the peak.
    """
    turn, end = pct_start * total - 1, total - 1
    up = steps / turn if turn > 0 else np.ones_like(steps)
    down = (steps - turn) / (end - turn)
    return np.where(steps <= turn, _cosine(first, peak, up), _cosine(peak, last, down))


def _cosine(start: float, end: float, share: Array) -> Array:
    """Half a cosine from `start` (share 0) to `end` (share 1)."""
    return end + (start - end) / 2 * (1 + np.cos(math.pi * share))
