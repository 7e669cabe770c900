"""Gradient clipping by the norm of all gradients of a network, as `torch.nn.utils.clip_grad_norm_` does it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from cifar_lab.config import OptimizerOptions

EPS = 1e-6
"""Added to the norm, as in torch."""

PIECE = 16_384
"""Numbers per partial norm. torch divides a longer one among its threads, whose number would change the bits."""


class GradientClipper:
    """Scales the gradients of K networks down to the largest norm of each."""

    def __init__(self, settings: Sequence[OptimizerOptions], gradients: Tensor) -> None:
        """`gradients`: (K, P), with zeros between parameters."""
        self._gradients = gradients
        self._largest = [each.clip_norm for each in settings]
        self._pieces = [
            () if bound is None else row.split(PIECE) for row, bound in zip(gradients, self._largest, strict=True)
        ]
        bounds = [math.inf if bound is None else bound for bound in self._largest]
        self._bounds = torch.tensor(bounds, device=gradients.device).unsqueeze(1)  # (K, 1)
        self.needed: bool = any(bound is not None for bound in self._largest)
        """True if a member has a largest norm."""

    def clip_rows(self) -> None:
        """Clip one member after the other, with the same bits on any number of threads."""
        for row, pieces, bound in zip(self._gradients, self._pieces, self._largest, strict=True):
            if bound is not None:
                norm = torch.stack([torch.linalg.vector_norm(piece) for piece in pieces]).norm()
                row.mul_((bound / (norm + EPS)).clamp(max=1))

    def clip_stacked(self) -> None:
        """Clip all members at once, without synchronising the device."""
        norms = torch.linalg.vector_norm(self._gradients, dim=1, keepdim=True)
        factors = (self._bounds / (norms + EPS)).clamp(max=1)
        self._gradients.mul_(torch.where(self._bounds.isinf(), 1.0, factors))
