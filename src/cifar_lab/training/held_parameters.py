"""Parameters that a network stops training after some epochs, in any form of a step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cifar_lab.models.flat_parameters import FlatParameters


@dataclass(frozen=True)
class _Held:
    """One parameter of all networks of a cohort."""

    values: Tensor
    """(K, numbers), a view of the rows."""
    kept: Tensor
    """Its value at the beginning of the epoch."""
    is_on: Tensor
    """() bool on the device, which a captured step reads."""
    after: int
    """Epochs in which it is trained."""


class HeldParameters:
    """Sets such parameters back after each update, so that every optimizer leaves them as they were."""

    def __init__(self, parameters: FlatParameters, after: Mapping[str, int]) -> None:
        """`after`: epochs in which each parameter is trained, by name. Names of frozen parameters are ignored."""
        values = parameters.values
        self._held = [
            _Held(part, part.clone(), torch.zeros((), dtype=torch.bool, device=part.device), after[span.name])
            for span in parameters.spans
            if span.name in after
            for part in [values[:, span.offset : span.offset + math.prod(span.shape)]]
        ]

    @torch.no_grad()
    def begin(self, epoch: int) -> None:
        """Prepare the steps of an epoch, counted from 0."""
        for each in self._held:
            each.is_on.fill_(epoch >= each.after)
            each.kept.copy_(each.values)

    @torch.no_grad()
    def restore(self) -> None:
        """Set back the parameters that are no longer trained. Never synchronises the device."""
        for each in self._held:
            each.values.copy_(torch.where(each.is_on, each.kept, each.values))
