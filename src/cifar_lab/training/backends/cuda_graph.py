"""Training steps as replays of one captured CUDA graph: one launch per step instead of a hundred.

A graph replays fixed addresses. So everything that varies by step lies in tables on the device, and the graph reads
them at a step counter that it advances itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from cifar_lab.data.batches import EpochRandomness
from cifar_lab.training.backends.eager import EagerBackend
from cifar_lab.training.device import capture

LEAST_STEPS = 20
"""Fewest full batches per epoch that repay the capture and its three warm-up steps."""


class NotCapturedError(Exception):
    """The step cannot be captured. The message gives the reason for the record."""


class CudaGraphBackend:
    """Backend that replays full batches and executes the smaller last batch of an epoch eagerly."""

    def __init__(self, eager: EagerBackend) -> None:
        """Capture the step. The cohort's state is unchanged afterwards, also on failure.

        Raises:
            NotCapturedError: the step needs the CPU, or an epoch has too few of them.
        """
        self.cohort = eager.cohort
        self.metrics = eager.metrics
        self._eager = eager
        batches = eager.batches
        size, members = batches.options.batch_size, len(batches.seeds)
        self._full = len(batches.split) // size
        if eager.stochastic_forward:
            raise NotCapturedError("the model may draw random numbers in each step")
        if eager.adversary is not None:
            raise NotCapturedError("adversarial images are made per batch")
        if batches.draws_per_batch:
            raise NotCapturedError("augmentation policies and noise are drawn per batch")
        if self._full < LEAST_STEPS:
            raise NotCapturedError(f"{self._full} full batches per epoch are too few to be worth it")
        self._randomness = batches.randomness(0)
        self._index = self._by_step(self._randomness.order)  # (full steps, K, B)
        self._lr, self._momentum = eager.rates(0)  # (steps, K, 1)
        self._step = torch.zeros(1, dtype=torch.int64, device=self._lr.device)
        before = [self.cohort.state(k) for k in range(members)]
        self.cohort.train_mode()
        try:
            self._replay = capture(self._captured_step, self._lr.device)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise NotCapturedError(f"capture failed: {' '.join(str(error).split())[:200]}") from error
        finally:
            for k, state in enumerate(before):
                self.cohort.load_state(k, state)

    def epoch(self, epoch: int) -> Iterator[int]:
        """See `StepBackend`."""
        eager = self._eager
        self._fill_tables(eager.batches.randomness(epoch), *eager.rates(epoch))
        for step in range(self._full):
            self._replay()
            yield step + 1
        if self._full < len(self.metrics.batch_sizes):
            rest = self._randomness.order[:, self._full * eager.batches.options.batch_size :]
            images, labels = eager.batches.gather(self._randomness, rest)
            lr, momentum = self._lr[self._full], None if self._momentum is None else self._momentum[self._full]
            mix = None if self._randomness.mix is None else self._randomness.mix.at(self._full)
            self.metrics.write(self._full, *eager.update(images, labels, lr, momentum, mix))
            yield self._full + 1

    def use_threads(self, threads: int) -> None:
        """See `StepBackend`. The GPU makes the steps."""

    def _captured_step(self) -> None:
        """Execute the step at the counter, then advance the counter."""
        index = self._index.index_select(0, self._step).squeeze(0)  # (K, B)
        images, labels = self._eager.batches.gather(self._randomness, index)
        lr = self._lr.index_select(0, self._step).squeeze(0)
        momentum = None if self._momentum is None else self._momentum.index_select(0, self._step).squeeze(0)
        mix = None if self._randomness.mix is None else self._randomness.mix.at(self._step)
        loss, right = self._eager.update(images, labels, lr, momentum, mix)
        self.metrics.loss.index_copy_(0, self._step, loss.unsqueeze(0))
        self.metrics.right.index_copy_(0, self._step, right.unsqueeze(0))
        self._step.add_(1)

    def _fill_tables(self, randomness: EpochRandomness, lr: Tensor, momentum: Tensor | None) -> None:
        """Copy the epoch's tables to the captured addresses and reset the counter."""
        tables = (
            (self._randomness.order, randomness.order), (self._randomness.flips, randomness.flips),
            (self._randomness.offsets, randomness.offsets), (self._lr, lr), (self._momentum, momentum),
            *zip(_tables(self._randomness), _tables(randomness), strict=True),
        )  # fmt: skip
        for captured, table in tables:
            if captured is not None and table is not None:
                captured.copy_(table)
        self._index.copy_(self._by_step(self._randomness.order))
        self._step.zero_()
        self.metrics.loss.zero_()
        self.metrics.right.zero_()

    def _by_step(self, order: Tensor) -> Tensor:
        """(K, N) to (full steps, K, B), contiguous."""
        members, size = len(order), self._eager.batches.options.batch_size
        return order[:, : self._full * size].view(members, self._full, size).transpose(0, 1).contiguous()


def _tables(randomness: EpochRandomness) -> tuple[Tensor, ...]:
    """Tables of the mix of images. Empty without one."""
    return () if randomness.mix is None else randomness.mix.tensors()
