"""Stages of a run: the epochs in which the same layers train. Most runs have one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cifar_lab.models.layer_order import NetworkLayer


@dataclass(frozen=True)
class Stage:
    """Epochs with the same trained layers, and what stands still in them."""

    start: int
    """Epochs completed before it."""
    stop: int
    """Epochs completed at its end."""
    still: tuple[str, ...] = ()
    """Modules that compute as in evaluation."""
    frozen: frozenset[str] = frozenset()
    """Parameters that do not train."""
    always: frozenset[str] = frozenset()
    """Those of them that train in no epoch."""
    layers: tuple[NetworkLayer, ...] = ()
    """Layers from the input to the head. Empty where nothing depends on them."""

    def begins_anew(self, done: int) -> bool:
        """Whether the optimizer begins anew after `done` epochs."""
        return 0 < done == self.start


EVERY_EPOCH = Stage(0, 0)
"""Stage of a cohort whose parameters all train."""
