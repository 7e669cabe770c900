"""The steps of an epoch as replays of one captured CUDA graph: a small step is launched in one go instead of a hundred.

Everything that changes from step to step lies in tables on the device, read at a counter that the graph itself moves.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from cifar_lab.data.batches import EpochRandomness
from cifar_lab.data.random_streams import NO_STREAMS
from cifar_lab.training.device import capture
from cifar_lab.training.loop import EagerBackend, train_step

LEAST_STEPS = 20
"""Full batches an epoch below which capturing (three warm-up steps and the capture) is not worth its time."""


class NotCapturedError(Exception):
    """The step cannot be captured; the message says why, in words for the record."""


class CudaGraphBackend:
    """Full batches by replay, the smaller batch at the end of an epoch as `EagerSteps` makes it."""

    def __init__(self, eager: EagerBackend) -> None:
        """Capture the step; the cohort is left as it was.

        Raises:
            NotCapturedError: something in it needs the processor at each step; the cohort is as it was.
        """
        self.cohort = eager.cohort
        self.ledger = eager.ledger
        self._eager = eager
        batches = eager.batches
        size, members = batches.options.batch_size, len(batches.seeds)
        self._full = len(batches.split) // size
        if eager.model_draws:
            raise NotCapturedError("the model may draw chance of its own at each step")
        if batches.chance_by_batch:
            raise NotCapturedError("augmentation policies and noise are drawn batch after batch")
        if self._full < LEAST_STEPS:
            raise NotCapturedError(f"{self._full} full batches an epoch are too few to be worth it")
        self._streams = NO_STREAMS
        self._chance = batches.chance(0)
        self._chosen = self._by_step(self._chance.order)  # (full steps, K, B)
        self._lr, self._momentum = eager.rates(0)  # (steps, K, 1)
        self._step = torch.zeros(1, dtype=torch.int64, device=self._lr.device)
        before = [self.cohort.state(k) for k in range(members)]
        self.cohort.train_mode()
        try:
            self._replay = capture(self._make, self._lr.device)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise NotCapturedError(f"capture failed: {' '.join(str(error).split())[:200]}") from error
        finally:
            for k, state in enumerate(before):
                self.cohort.load_state(k, state)

    def epoch(self, epoch: int) -> Iterator[int]:
        """See `train.Steps`."""
        eager = self._eager
        self._fill(eager.batches.chance(epoch), *eager.rates(epoch))
        for step in range(self._full):
            self._replay()
            yield step + 1
        if self._full < len(self.ledger.batch_sizes):
            rest = self._chance.order[:, self._full * eager.batches.options.batch_size :]
            images, labels = eager.batches.cut(self._chance, rest)
            lr, momentum = self._lr[self._full], None if self._momentum is None else self._momentum[self._full]
            self.ledger.write(self._full, *self._update(images, labels, lr, momentum))
            yield self._full + 1

    def _make(self) -> None:
        """One step, at the counter, which it moves on: what is captured."""
        chosen = self._chosen.index_select(0, self._step).squeeze(0)  # (K, B)
        images, labels = self._eager.batches.cut(self._chance, chosen)
        lr = self._lr.index_select(0, self._step).squeeze(0)
        momentum = None if self._momentum is None else self._momentum.index_select(0, self._step).squeeze(0)
        loss, right = self._update(images, labels, lr, momentum)
        self.ledger.loss.index_copy_(0, self._step, loss.unsqueeze(0))
        self.ledger.right.index_copy_(0, self._step, right.unsqueeze(0))
        self._step.add_(1)

    def _update(self, images: Tensor, labels: Tensor, lr: Tensor, momentum: Tensor | None) -> tuple[Tensor, Tensor]:
        eager = self._eager
        return train_step(
            self.cohort, images, labels, lr, momentum, eager.label_smoothing, eager.execution, self._streams
        )

    def _fill(self, chance: EpochRandomness, lr: Tensor, momentum: Tensor | None) -> None:
        """Put the epoch's tables where the graph reads them, and the counter to the first step."""
        tables = (
            (self._chance.order, chance.order), (self._chance.flips, chance.flips),
            (self._chance.offsets, chance.offsets), (self._lr, lr), (self._momentum, momentum),
        )  # fmt: skip
        for place, table in tables:
            if place is not None and table is not None:
                place.copy_(table)
        self._chosen.copy_(self._by_step(self._chance.order))
        self._step.zero_()
        self.ledger.loss.zero_()
        self.ledger.right.zero_()

    def _by_step(self, order: Tensor) -> Tensor:
        """(K, N) -> (full steps, K, B), contiguous."""
        members, size = len(order), self._eager.batches.options.batch_size
        return order[:, : self._full * size].view(members, self._full, size).transpose(0, 1).contiguous()
