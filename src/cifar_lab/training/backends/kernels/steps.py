"""The steps of an epoch by our own kernels: a call for loss and gradients, and one for the optimizer."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from cifar_lab.data.batches import BatchAugmenter, EpochRandomness
from cifar_lab.training.backends.kernels.network import KernelNetwork
from cifar_lab.training.backends.kernels.structures import Batch
from cifar_lab.training.loop import EagerBackend


class KernelBackend:
    """The steps of one run on the CPU, whose training images and weights lie in torch's contiguous format."""

    def __init__(self, eager: EagerBackend) -> None:
        """With the cohort, batches and loss of `eager`.

        Raises:
            NoKernels: they cannot be had for this network on this machine.
        """
        self.cohort = eager.cohort
        self.ledger = eager.ledger
        self._eager, self._batches = eager, eager.batches
        (network,) = self.cohort.networks
        self.network = KernelNetwork(
            network, self.cohort.parameters, max(self._batches.batch_sizes), eager.execution.threads,
            eager.label_smoothing,
        )  # fmt: skip

    def epoch(self, epoch: int) -> Iterator[int]:
        """See `train.Steps`."""
        self.ledger = self._eager.new_ledger()
        lr, momentum = self._eager.rates(epoch)
        for step, batch in enumerate(self.cut(epoch)):
            self.make(batch, step)
            self.cohort.optimizer.step(lr[step], None if momentum is None else momentum[step])
            yield step + 1

    def make(self, batch: Batch, step: int) -> None:
        """The gradients of a batch; its loss goes into the ledger."""
        loss, right = self.ledger.loss, self.ledger.right
        self.network.gradients(
            batch, torch.get_num_threads(), loss.data_ptr() + step * loss.element_size(),
            right.data_ptr() + step * right.element_size(),
        )  # fmt: skip

    def cut(self, epoch: int) -> Iterator[Batch]:
        """The same batches as `CohortBatches.epoch`, mostly as numbers of images, which the kernels cut themselves.

        It is one object that changes: each batch is to be used before the next is asked for.
        """
        chance, begin = self._batches.chance(epoch), 0
        by_batch = BatchAugmenter(self._batches, epoch) if self._batches.chance_by_batch else None
        batch = self._batch(chance)
        for size in self._batches.batch_sizes:
            chosen = chance.order[:, begin : begin + size]  # (1, B)
            batch.images = size
            if by_batch is None:
                batch.chosen, batch.kept = chosen.data_ptr(), chance
            else:
                images = by_batch.change(self._batches.pixels(chance, chosen)).contiguous()
                labels = self._batches.split.labels[chosen]
                batch.pixels, batch.ready, batch.labels = None, images.data_ptr(), labels.data_ptr()
                batch.kept = images, labels
            yield batch
            begin += size

    def _batch(self, chance: EpochRandomness) -> Batch:
        """What is the same for all batches of an epoch."""
        split = self._batches.split
        scale, shift = (table[0, :, 0, 0].tolist() for table in split.normalizer.scale_shift)
        return Batch(
            pixels=split.stored.data_ptr(),
            labels=split.labels.data_ptr(),
            offsets=None if chance.offsets is None else chance.offsets.data_ptr(),
            flips=None if chance.flips is None else chance.flips.data_ptr(),
            padding=self._batches.options.crop_padding,
            scale=tuple(scale),
            shift=tuple(shift),
        )
