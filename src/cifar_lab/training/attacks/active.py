"""Images that an attack still works on: per network, without those that are misclassified already."""

from __future__ import annotations

import torch
from torch import Tensor

REGATHER = 0.8
"""Share of images at work below which the others are dropped from the batch."""


class ActiveImages:
    """AttackBatch (K, M, 3, H, W) of the images at work of K networks, each with its own.

    Rows that a network does not need are filled with its first image and ignored.
    """

    def __init__(self, wanted: Tensor) -> None:
        """`wanted`: (K, B) bool, the images to attack."""
        self._wanted = wanted.clone()
        self._order()

    def _order(self) -> None:
        counts = self._wanted.sum(dim=1)
        width = int(counts.max()) if self._wanted.numel() else 0
        order = torch.argsort(self._wanted.to(torch.int8), dim=1, descending=True, stable=True)
        self.index = order[:, :width]
        """(K, M): image of the batch in each row."""
        self.used = torch.arange(width, device=counts.device) < counts.unsqueeze(1)
        """(K, M): whether the row is an image at work."""

    def __len__(self) -> int:
        return int(self.index.shape[1])

    def gather(self, values: Tensor) -> Tensor:
        """Rows at work of values that all networks share: (B, …) to (K, M, …)."""
        return values[self.index]

    def gather_own(self, values: Tensor) -> Tensor:
        """Rows at work of values of each network: (K, B, …) to (K, M, …)."""
        return take(values, self.index)

    def finish(self, rows: Tensor) -> Tensor:
        """Take out rows (K, M) that are done. Returns them as images (K, B)."""
        done = torch.zeros_like(self._wanted)
        done.scatter_(1, self.index, rows & self.used)
        self._wanted &= ~done
        self.used &= ~rows
        return done

    def thinned(self) -> Tensor | None:
        """Rows to keep (K, M') after enough of them are done, and forget the others. None where it is not worth it."""
        width = int(self.used.sum(dim=1).max()) if len(self) else 0
        if width > REGATHER * len(self):
            return None
        kept = torch.argsort(self.used.to(torch.int8), dim=1, descending=True, stable=True)[:, :width]
        self.index = self.index.gather(1, kept)
        self.used = self.used.gather(1, kept)
        return kept


def take(values: Tensor, rows: Tensor) -> Tensor:
    """Rows (K, M') of values (K, M, …)."""
    return values[torch.arange(len(rows), device=values.device).unsqueeze(1), rows]
