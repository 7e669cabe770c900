"""Optimizer state of the members of a cohort as two rows of numbers per member, as the block kernel keeps it.

The first is the momentum, or the mean of the gradients. The second is the mean of their squares. A member with Muon has
the momentum of its matrices in one row of its state, and the rest in rows of the other rule. No number is in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cifar_lab.config import Muon
from cifar_lab.models.flat_parameters import FlatParameters
from cifar_lab.training.backends.block.update_rules import MATRICES, BlockOptimizer, has_squares
from cifar_lab.training.cohort import Cohort


class _StateRows(NamedTuple):
    """Rows of one member's state, (P) each, views."""

    matrices: Tensor
    """First row of the parameters that Muon updates."""
    others: Tensor
    """First row of the other parameters. The same tensor without Muon."""
    second: Tensor | None


class MemberState:
    """Reads and writes the optimizer state of a cohort in the layout of `FlatParameters`."""

    def __init__(self, cohort: Cohort, optimizers: Sequence[BlockOptimizer]) -> None:
        """`optimizers`: settings of each member."""
        self._cohort = cohort
        self._rows = [_state_rows(cohort, k, settings) for k, settings in enumerate(optimizers)]
        self._has_muon = any(isinstance(settings, Muon) for settings in optimizers)
        self._matrices = columns_of(cohort.parameters, MATRICES) if self._has_muon else None  # (P)

    def first(self) -> Tensor:
        """(K, P), a copy."""
        others = torch.stack([row.others for row in self._rows])
        if self._matrices is None:
            return others
        return torch.where(self._matrices, torch.stack([row.matrices for row in self._rows]), others)

    def second(self) -> Tensor | None:
        """(K, P), a copy. Rows of members without it hold any numbers. None if no member has it."""
        if all(row.second is None for row in self._rows):
            return None
        return torch.stack([row.others if row.second is None else row.second for row in self._rows])

    def store_first(self, flat: Tensor) -> None:
        """Write the first rows (K, P)."""
        if self._matrices is None:
            _copy([(rows.others, row) for rows, row in zip(self._rows, flat, strict=True)])
            return
        matrices, others = torch.where(self._matrices, flat, 0.0), torch.where(self._matrices, 0.0, flat)
        pairs: list[tuple[Tensor, Tensor]] = []
        for k, rows in enumerate(self._rows):
            both = rows.matrices is rows.others
            pairs += [(rows.others, flat[k] if both else others[k])]
            pairs += [] if both else [(rows.matrices, matrices[k])]
        _copy(pairs)

    def store_second(self, flat: Tensor) -> None:
        """Write the second rows (K, P)."""
        _copy([(rows.second, row) for rows, row in zip(self._rows, flat, strict=True) if rows.second is not None])

    def store_updates(self, updates: Sequence[int]) -> None:
        """Write each member's number of updates where its state counts them."""
        optimizer = self._cohort.optimizer
        for k, count in enumerate(updates):
            state = optimizer.state(k)
            counts = {name: torch.full_like(each, count) for name, each in state.items() if each.numel() == 1}
            if counts:
                optimizer.load_state(k, state | counts)


def _state_rows(cohort: Cohort, member: int, settings: BlockOptimizer) -> _StateRows:
    first, *others = cohort.optimizer.rows(member)
    if isinstance(settings, Muon):
        return _StateRows(first, others[0], others[1] if has_squares(settings) else None)
    return _StateRows(first, first, others[0] if has_squares(settings) else None)


def columns_of(parameters: FlatParameters, names: Sequence[str]) -> Tensor:
    """(P) bool: numbers of these parameters."""
    found = torch.zeros(parameters.values.shape[1], dtype=torch.bool)
    for span in parameters.spans:
        if span.name in names:
            found.as_strided(span.shape, span.stride, span.offset).fill_(True)
    return found.to(parameters.values.device)


def _copy(pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
    torch._foreach_copy_([into for into, _ in pairs], [row for _, row in pairs])
