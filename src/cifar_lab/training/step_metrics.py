"""What each step of an epoch came to, kept on the device until somebody asks: asking makes a GPU wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class EpochNumbers:
    """What one member's epoch came to."""

    loss: float
    """Mean over the images."""
    accuracy: float
    """Share of the images that were right before the step that learnt from them."""
    finite_steps: int
    """Steps before the first whose loss was not finite."""
    last_finite_loss: float
    """Of those steps; 0 without one."""


class StepMetrics:
    """Loss and number of images right of each step and member of one epoch."""

    def __init__(self, batch_sizes: Sequence[int], members: int, device: torch.device) -> None:
        """`batch_sizes`: images of each step of the epoch, one member's."""
        self.batch_sizes = tuple(batch_sizes)
        self.loss = torch.zeros(len(batch_sizes), members, device=device)
        """(steps, K): mean loss of each step, before its update."""
        self.right = torch.zeros(len(batch_sizes), members, device=device, dtype=torch.int64)
        """(steps, K)"""

    def write(self, step: int, loss: Tensor, right: Tensor) -> None:
        """Keep what one step came to, both (K,), without waiting for the device."""
        self.loss[step] = loss
        self.right[step] = right

    def all_diverged(self, steps: int) -> bool:
        """Whether each member had a loss that was not finite in the first `steps`; waits for the device."""
        return bool((~torch.isfinite(self.loss[:steps])).any(dim=0).all())

    def first_member(self, steps: int) -> tuple[float, float]:
        """(mean loss, accuracy) of the first member over the first `steps`; waits for the device."""
        numbers = self._numbers(steps, slice(0, 1))[0]
        return numbers.loss, numbers.accuracy

    def numbers(self, steps: int) -> list[EpochNumbers]:
        """Each member's epoch over its first `steps`; waits for the device."""
        return self._numbers(steps, slice(None))

    def _numbers(self, steps: int, members: slice) -> list[EpochNumbers]:
        losses = self.loss[:steps, members].cpu().double()  # (steps, K)
        right = self.right[:steps, members].cpu().double()
        sizes = torch.tensor(self.batch_sizes[:steps], dtype=torch.float64).unsqueeze(1)  # (steps, 1)
        images = float(sizes.sum())
        means = ((losses * sizes).sum(dim=0) / images).tolist()
        shares = (right.sum(dim=0) / images).tolist()
        finite = torch.isfinite(losses).long().cumprod(dim=0).sum(dim=0).tolist()
        return [
            EpochNumbers(mean, share, steps_before, float(losses[steps_before - 1, k]) if steps_before else 0.0)
            for k, (mean, share, steps_before) in enumerate(zip(means, shares, finite, strict=True))
        ]
