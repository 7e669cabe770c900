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

    def __init__(self, members: Sequence[RateSchedule[Any]], epochs: int, steps_per_epoch: Sequence[int]) -> None:
        """`steps_per_epoch`: of each member."""
        self._members = tuple(members)
        self._epochs, self._steps = epochs, tuple(steps_per_epoch)

    def epoch_table(self, epoch: int) -> tuple[Array, Array | None]:
        """Learning rates and momenta of each step of one epoch, counted from 0.

        Returns:
            lr, (steps, K). Momentum (SGD) or first beta (Adam, AdamW) of the same shape, NaN for members whose schedule
                does not vary it, or None if no schedule does. A plateau's column is valid for the next epoch only. The
                steps are those of the member with the most. NaN follows the last step of the others.

        Raises:
            ValueError: an epoch after the last.
        """
        if not 0 <= epoch < self._epochs:
            raise ValueError(f"epoch {epoch} of a schedule of {self._epochs} epochs, which count from 0")
        ranges = {size: np.arange(epoch * size, (epoch + 1) * size, dtype=np.float64) for size in set(self._steps)}
        members = [(member, ranges[size]) for member, size in zip(self._members, self._steps, strict=True)]
        lr = _columns([member.lr(epoch, steps) for member, steps in members])
        if not any(member.moves_momentum for member in self._members):
            return lr, None
        return lr, _columns([member.momentum(steps) for member, steps in members])

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
    steps_per_epoch: int | Sequence[int],
    group: Mapping[str, Any] | None = None,
) -> CohortSchedule:
    """Make the schedules of a cohort. Member k has `schedulers[k]` over `optimizers[k]`.

    Args:
        steps_per_epoch: of all members, or of each.
        group: values of the optimizer that torch executes, if there is one.

    Raises:
        ValueError: not one scheduler per optimizer, or no epoch or step.
    """
    if len(schedulers) != len(optimizers):
        raise ValueError(f"{len(schedulers)} schedulers for {len(optimizers)} optimizers")
    steps = [steps_per_epoch] * len(optimizers) if isinstance(steps_per_epoch, int) else steps_per_epoch
    if epochs < 1 or min(steps) < 1:
        raise ValueError(f"a schedule of {epochs} epochs of {min(steps)} steps; both must be at least 1")
    members = []
    for scheduler, optimizer, size in zip(schedulers, optimizers, steps, strict=True):
        member = SCHEDULES.get(scheduler.name, OwnRate)(scheduler, optimizer.lr, epochs, size)
        if isinstance(member, TorchRate):
            member.group = group if group is not None else optimizer.model_dump()
        members.append(member)
    return CohortSchedule(members, epochs, steps)


def _columns(members: Sequence[Array]) -> Array:
    """(steps,) of each member as the columns of one table. NaN follows the shorter ones."""
    table = np.full((max(map(len, members)), len(members)), np.nan)
    for column, numbers in zip(table.T, members, strict=True):
        column[: len(numbers)] = numbers
    return table


def _parts(member: object) -> object:
    return set(member) if isinstance(member, dict) else member
