"""Random numbers of the networks of a launch."""

from __future__ import annotations

from collections.abc import Sequence

from cifar_lab.data.batches import CohortBatches, EpochRandomness


class Draws:
    """Random numbers of an epoch, drawn once per seed and kind of flips."""

    def __init__(self, batches: CohortBatches) -> None:
        members = list(zip(batches.seeds, batches.flips, strict=True))
        rows = {member: number for number, member in enumerate(dict.fromkeys(members))}
        self._number = [rows[member] for member in members]
        seeds, flips = zip(*rows, strict=True)
        self._batches = CohortBatches(batches.split, batches.options, seeds, flips)
        self._drawn: tuple[int, EpochRandomness] | None = None

    def draw(self, epoch: int) -> EpochRandomness:
        """Draw the random numbers of an epoch, and keep them for it."""
        if self._drawn is None or self._drawn[0] != epoch:
            self._drawn = epoch, self._batches.randomness(epoch)
        return self._drawn[1]

    def of_epoch(self, epoch: int) -> tuple[EpochRandomness, Sequence[int]]:
        """The random numbers, and the row of each member in them."""
        return self.draw(epoch), self._number
