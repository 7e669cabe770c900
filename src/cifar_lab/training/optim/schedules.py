"""Schedules of a cohort: tables of learning rates, and of momenta if a schedule varies them, one epoch at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cifar_lab import config
from cifar_lab.config.registry import makers
from cifar_lab.training.optim.rates import Array, RateSchedule
from cifar_lab.training.optim.tables import OwnRate, TorchRate

SCHEDULES: dict[str, Callable[..., RateSchedule[Any]]] = makers("scheduler", __package__)
"""Maker of the learning rates of each `scheduler.name`."""


class CohortSchedule:
    """Schedules of K members, see `make_schedule`."""

    def __init__(self, members: Sequence[RateSchedule[Any]], epochs: int, steps_per_epoch: int) -> None:
        self._members = tuple(members)
        self._epochs, self._steps_per_epoch = epochs, steps_per_epoch

    def epoch_table(self, epoch: int) -> tuple[Array, Array | None]:
        """Learning rates and momenta of each step of one epoch, counted from 0.

        Returns:
            lr, (steps_per_epoch, K). Momentum (SGD) or first beta (Adam, AdamW) of the same shape, NaN for members
                whose schedule does not vary it, or None if no schedule does. A plateau's column is valid for the next
                epoch only.

        Raises:
            ValueError: an epoch after the last.
        """
        if not 0 <= epoch < self._epochs:
            raise ValueError(f"epoch {epoch} of a schedule of {self._epochs} epochs, which count from 0")
        steps = np.arange(epoch * self._steps_per_epoch, (epoch + 1) * self._steps_per_epoch, dtype=np.float64)
        lr = np.stack([member.lr(epoch, steps) for member in self._members], axis=1)
        if not any(member.moves_momentum for member in self._members):
            return lr, None
        return lr, np.stack([member.momentum(steps) for member in self._members], axis=1)

    def end_epoch(self, metrics: Sequence[Mapping[str, float | None]]) -> None:
        """Update the plateau schedules.

        Args:
            metrics: one mapping per member, with the metric that its plateau monitors: train_loss and val_loss (lower
                is better) or val_accuracy (higher is better). None if the number was not finite.

        Raises:
            ValueError: not one mapping per member, or the monitored metric is missing.
        """
        if len(metrics) != len(self._members):
            raise ValueError(f"metrics of {len(metrics)} members for a cohort of {len(self._members)}")
        for member, numbers in zip(self._members, metrics, strict=True):
            member.end_epoch(numbers)

    def state(self, member: int) -> dict[str, Any]:
        """State that one member's later epochs depend on, as plain numbers and mappings."""
        # The key is that of checkpoints from when a plateau was the only schedule with a state.
        return {"plateaus": [self._members[member].memory()]}

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
        (memory,) = saved
        if memory is not None:
            self._members[member].remember(memory)


def make_schedule(
    schedulers: Sequence[config.Scheduler],
    optimizers: Sequence[config.Optimizer],
    epochs: int,
    steps_per_epoch: int,
    group: Mapping[str, Any] | None = None,
) -> CohortSchedule:
    """Make the schedules of a cohort. Member k has `schedulers[k]` over `optimizers[k]`.

    Args:
        group: values of the optimizer that torch executes, if there is one.

    Raises:
        ValueError: not one scheduler per optimizer, or no epoch or step.
    """
    if len(schedulers) != len(optimizers):
        raise ValueError(f"{len(schedulers)} schedulers for {len(optimizers)} optimizers")
    if epochs < 1 or steps_per_epoch < 1:
        raise ValueError(f"a schedule of {epochs} epochs of {steps_per_epoch} steps; both must be at least 1")
    members = []
    for scheduler, optimizer in zip(schedulers, optimizers, strict=True):
        member = SCHEDULES.get(scheduler.name, OwnRate)(scheduler, optimizer.lr, epochs, steps_per_epoch)
        if isinstance(member, TorchRate):
            member.group = group if group is not None else optimizer.model_dump()
        members.append(member)
    return CohortSchedule(members, epochs, steps_per_epoch)


def _parts(member: object) -> object:
    return set(member) if isinstance(member, dict) else member
