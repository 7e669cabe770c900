"""Learning rates of a cohort, and momenta if a schedule varies them: torch's schedulers, one epoch at a time.

Steps count from 0. `none`, `step`, `cosine` and `one_cycle` are closed-form functions of the step. torch's own
step-by-step products differ from them only by rounding. `plateau` carries state from epoch to epoch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifar_lab import config

Array = NDArray[np.float64]

PLATEAU_EPS = 1e-8
"""Smallest reduction of the learning rate: the default `eps` of torch's ReduceLROnPlateau."""


@dataclass
class PlateauState:
    """State of ReduceLROnPlateau between epochs."""

    lr: float
    best: float | None = None
    """Best metric so far, None before the first."""
    bad_epochs: int = 0
    cooldown_left: int = 0
    """Epochs."""

    def end_epoch(self, settings: config.Plateau, metric: float | None) -> None:
        """Process the metric of an epoch. None (not finite) is no improvement."""
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


class CohortSchedule:
    """Schedules of K members, see `make_schedule`."""

    def __init__(
        self,
        schedulers: Sequence[config.Scheduler],
        optimizers: Sequence[config.Optimizer],
        epochs: int,
        steps_per_epoch: int,
    ) -> None:
        self._schedulers, self._optimizers = tuple(schedulers), tuple(optimizers)
        self._epochs, self._steps_per_epoch = epochs, steps_per_epoch
        self._plateaus = [
            PlateauState(optimizer.lr) if isinstance(scheduler, config.Plateau) else None
            for scheduler, optimizer in zip(schedulers, optimizers, strict=True)
        ]

    def epoch_table(self, epoch: int) -> tuple[Array, Array | None]:
        """Learning rates and momenta of each step of one epoch, counted from 0.

        Returns:
            lr, (steps_per_epoch, K). Momentum (SGD) or first beta (Adam, AdamW) of the same shape, NaN for members
            whose
                schedule does not vary it, or None if no schedule does. A plateau's column is valid for the next epoch
                only.

        Raises:
            ValueError: an epoch after the last.
        """
        if not 0 <= epoch < self._epochs:
            raise ValueError(f"epoch {epoch} of a schedule of {self._epochs} epochs, which count from 0")
        steps = np.arange(epoch * self._steps_per_epoch, (epoch + 1) * self._steps_per_epoch, dtype=np.float64)
        lr = np.stack([self._member_lr(k, epoch, steps) for k in range(len(self._schedulers))], axis=1)
        if not any(isinstance(s, config.OneCycle) and s.cycle_momentum for s in self._schedulers):
            return lr, None
        momentum = np.stack([self._member_momentum(k, steps) for k in range(len(self._schedulers))], axis=1)
        return lr, momentum

    def end_epoch(self, metrics: Sequence[Mapping[str, float | None]]) -> None:
        """Update the plateau schedules.

        Args:
            metrics: one mapping per member, with the metric that its plateau monitors: train_loss and val_loss (lower
                is better) or val_accuracy (higher is better). None if the number was not finite.

        Raises:
            ValueError: not one mapping per member, or the monitored metric is missing.
        """
        if len(metrics) != len(self._schedulers):
            raise ValueError(f"metrics of {len(metrics)} members for a cohort of {len(self._schedulers)}")
        for settings, plateau, numbers in zip(self._schedulers, self._plateaus, metrics, strict=True):
            if plateau is None or not isinstance(settings, config.Plateau):
                continue
            if settings.monitor not in numbers:
                raise ValueError(f"the plateau schedule watches {settings.monitor}, which is not among the metrics")
            plateau.end_epoch(settings, numbers[settings.monitor])

    def state(self, member: int) -> dict[str, Any]:
        """State that one member's later epochs depend on, as plain numbers and mappings."""
        plateau = self._plateaus[member]
        return {"plateaus": [None if plateau is None else asdict(plateau)]}

    def load_state(self, member: int, state: Mapping[str, Any]) -> None:
        """Restore one member's state.

        Raises:
            ValueError: a part is missing, unknown or of another member.
        """
        saved = state.get("plateaus")
        expected = self.state(member)["plateaus"]
        if (
            state.keys() != {"plateaus"}
            or not isinstance(saved, list)
            or [_parts(each) for each in saved] != [_parts(each) for each in expected]
        ):
            raise ValueError("schedule state does not fit this member's scheduler")
        (plateau,) = saved
        self._plateaus[member] = None if plateau is None else PlateauState(**plateau)

    def _member_lr(self, k: int, epoch: int, steps: Array) -> Array:
        """Learning rates of member k at `steps` of `epoch`, (steps_per_epoch,)."""
        settings, base = self._schedulers[k], self._optimizers[k].lr
        total = self._epochs * self._steps_per_epoch
        plateau = self._plateaus[k]
        if isinstance(settings, config.OneCycle):
            peak = base if settings.max_lr is None else settings.max_lr
            first = peak / settings.div_factor
            return _one_cycle(steps, total, settings.pct_start, first, peak, first / settings.final_div_factor)
        if plateau is not None:
            lr = np.full_like(steps, plateau.lr)
        elif isinstance(settings, config.Step):
            lr = np.full_like(steps, base * settings.gamma ** (epoch // settings.step_epochs))
        elif isinstance(settings, config.Cosine):
            lr = settings.min_lr + (base - settings.min_lr) * (1 + np.cos(math.pi * steps / total)) / 2
        else:
            lr = np.full_like(steps, base)
        warmup_steps = settings.warmup_epochs * self._steps_per_epoch
        return lr * np.minimum((steps + 1) / max(warmup_steps, 1), 1)

    def _member_momentum(self, k: int, steps: Array) -> Array:
        """Momentum or first beta of member k at `steps`, (steps_per_epoch,)."""
        settings = self._schedulers[k]
        if not isinstance(settings, config.OneCycle) or not settings.cycle_momentum:
            return np.full_like(steps, math.nan)
        ends, peak = settings.max_momentum, settings.base_momentum
        total = self._epochs * self._steps_per_epoch
        return _one_cycle(steps, total, settings.pct_start, ends, peak, ends)


def make_schedule(
    schedulers: Sequence[config.Scheduler],
    optimizers: Sequence[config.Optimizer],
    epochs: int,
    steps_per_epoch: int,
) -> CohortSchedule:
    """Make the schedules of a cohort. Member k has `schedulers[k]` over `optimizers[k]`.

    Raises:
        ValueError: not one scheduler per optimizer, or no epoch or step.
    """
    if len(schedulers) != len(optimizers):
        raise ValueError(f"{len(schedulers)} schedulers for {len(optimizers)} optimizers")
    if epochs < 1 or steps_per_epoch < 1:
        raise ValueError(f"a schedule of {epochs} epochs of {steps_per_epoch} steps; both must be at least 1")
    return CohortSchedule(schedulers, optimizers, epochs, steps_per_epoch)


def _one_cycle(steps: Array, total: int, pct_start: float, first: float, peak: float, last: float) -> Array:
    """torch's OneCycleLR with cosines and two phases: from `first` to `peak`, then to `last` at step total - 1.

    The peak is at step pct_start · total - 1, as in torch. If that is before step 0, the run begins in the second phase
    (a run of one step has `last`). If it is step 0, where torch divides by zero, the run begins at the peak.
    """
    turn, end = pct_start * total - 1, total - 1
    up = steps / turn if turn > 0 else np.ones_like(steps)
    down = (steps - turn) / (end - turn)
    return np.where(steps <= turn, _cosine(first, peak, up), _cosine(peak, last, down))


def _cosine(start: float, end: float, share: Array) -> Array:
    """Half a cosine from `start` (share 0) to `end` (share 1)."""
    return end + (start - end) / 2 * (1 + np.cos(math.pi * share))


def _parts(member: object) -> object:
    return set(member) if isinstance(member, dict) else member
