"""Networks under attack, as an attack sees them.

Images have pixels from 0 to 1. Normalisation is inside. All is float32, in evaluation mode, and no parameter has a
gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Forward = Callable[[Tensor], Tensor]
"""images (K, B, 3, H, W) with pixels from 0 to 1 to logits (K, B, classes)."""


class Victims:
    """K networks that are attacked together."""

    def __init__(
        self, forward: Forward, members: int, device: torch.device, *, stacked: bool = False,
        each: Sequence[Forward] = (),
    ) -> None:  # fmt: skip
        """`each`: forward pass of each network, for `alone`. Not needed for one network."""
        self._forward, self._each = forward, each
        self.members = members
        self.device = device
        self.stacked = stacked

    def alone(self, member: int) -> Victims:
        """One of the networks, without computing the others."""
        return self if self.members == 1 else Victims(self._each[member], 1, self.device)

    def logits(self, images: Tensor) -> Tensor:
        """images (K, B, 3, H, W) to logits (K, B, classes), float32."""
        return self._forward(images).float()

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """images (K, B, 3, H, W) to classes (K, B)."""
        return self.logits(images).argmax(dim=-1)
