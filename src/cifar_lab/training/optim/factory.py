"""Optimizer of a cohort, from the settings of its members. They may use several kinds."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate, groupby
from typing import Any

from torch import Tensor, nn

from cifar_lab import config
from cifar_lab.config.registry import makers
from cifar_lab.models.flat_parameters import FlatParameters
from cifar_lab.training.optim.from_torch import TorchRule, of_user
from cifar_lab.training.optim.optimizers import CohortOptimizer

MAKERS: dict[str, Callable[..., Any]] = makers("optimizer", __package__)
"""`optimizer.name` and the class that updates a cohort, made from its members' settings. For an optimizer that torch
executes, the function that makes it for one network."""


class MixedOptimizer:
    """Several kinds of optimizer in one cohort. Each updates the rows of its members."""

    def __init__(self, parts: Sequence[CohortOptimizer]) -> None:
        """`parts` in the order of the rows."""
        self._parts = tuple(parts)
        self._starts = list(accumulate((len(part) for part in parts), initial=0))

    def step(self, lr: Tensor, momentum: Tensor | None = None) -> None:
        """See `CohortOptimizer.step`."""
        for part, start in zip(self._parts, self._starts, strict=False):
            rows = slice(start, start + len(part))
            part.step(lr[rows], None if momentum is None else momentum[rows])

    def state(self, member: int) -> dict[str, Tensor]:
        """See `CohortOptimizer.state`."""
        part, row = self._find(member)
        return part.state(row)

    def parts(self, member: int) -> dict[str, Tensor]:
        """See `CohortOptimizer.parts`."""
        part, row = self._find(member)
        return part.parts(row)

    def rows(self, member: int) -> list[Tensor]:
        """See `CohortOptimizer.rows`."""
        part, row = self._find(member)
        return part.rows(row)

    def settings_of(self, member: int) -> config.OptimizerOptions:
        """See `CohortOptimizer.settings_of`."""
        part, row = self._find(member)
        return part.settings_of(row)

    def load_state(self, member: int, state: dict[str, Tensor]) -> None:
        """See `CohortOptimizer.load_state`."""
        part, row = self._find(member)
        part.load_state(row, state)

    def _find(self, member: int) -> tuple[CohortOptimizer, int]:
        number = bisect_right(self._starts, member) - 1
        return self._parts[number], member - self._starts[number]


def make_rule(settings: config.Optimizer, network: nn.Module) -> TorchRule | None:
    """Make the optimizer of one network if torch executes it. None for an optimizer of cohorts.

    Raises:
        SettingsError: it cannot be made.
    """
    if isinstance(settings, config.CustomOptimizer):
        return of_user(settings, network)
    if isinstance(settings, config.TorchOptimizer):
        rule: TorchRule = MAKERS[settings.name](settings, network)
        return rule
    return None


def make_optimizer(
    settings: Sequence[config.Optimizer], parameters: FlatParameters, *, stacked: bool | None = None
) -> CohortOptimizer | MixedOptimizer:
    """Make the optimizer of a cohort. Member k of `settings` updates row k of `parameters`.

    Adjacent members of one kind are updated together.

    Args:
        settings: one per member.
        parameters: rows to update.
        stacked: update all rows at once (True) or one after the other (False). None chooses by device.

    Raises:
        ValueError: not one optimizer per row.
    """
    if len(settings) != len(parameters.values):
        raise ValueError(f"{len(settings)} optimizers for a cohort of {len(parameters.values)}")
    if stacked is None:
        stacked = parameters.values.device.type != "cpu"
    parts, start = [], 0
    for (name, *_), same in groupby(settings, _kind):
        members = list(same)
        parts.append(MAKERS[name](members, parameters.rows(start, start + len(members)), stacked))
        start += len(members)
    return parts[0] if len(parts) == 1 else MixedOptimizer(parts)


def _kind(settings: config.Optimizer) -> tuple[str, ...]:
    """Equal for members that are updated together. The first word is the name of the optimizer."""
    if isinstance(settings, config.Muon):
        return settings.name, settings.others.name, str(settings.ns_steps)
    return (settings.name,)
