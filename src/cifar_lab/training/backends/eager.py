"""The training step, and the backend that executes each step eagerly with torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from cifar_lab.data.batches import CohortBatches
from cifar_lab.data.random_streams import NO_STREAMS, ModelStreams
from cifar_lab.models.outputs import split_outputs
from cifar_lab.training.backends.base import StepMetrics
from cifar_lab.training.cohort import Cohort
from cifar_lab.training.device import Execution
from cifar_lab.training.own_functions import LossOf


def train_step(
    cohort: Cohort, images: Tensor, labels: Tensor, lr: Tensor, momentum: Tensor | None, label_smoothing: float,
    execution: Execution, streams: ModelStreams, own_loss: LossOf | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Update every member once.

    Args:
        images: (K, B, 3, 32, 32).
        labels: (K, B).
        lr, momentum: (K, 1).
        own_loss: loss of the user, in place of cross-entropy. The networks are then not stacked.

    Returns:
        Loss (K,) and number of correct images (K,), both from before the update.
    """
    if cohort.stacked is not None:
        with execution.autocast():
            logits = cohort.stacked(images)  # (K, B, classes)
        each = F.cross_entropy(
            logits.float().flatten(0, 1), labels.flatten(), reduction="none", label_smoothing=label_smoothing
        )
        losses = each.view(labels.shape).mean(dim=1)  # (K,)
        # No member's loss depends on another's weights, so the gradient of the sum is each member's own.
        cohort.stacked.backward(losses.sum())
        cohort.optimizer.step(lr, momentum)
        return losses.detach(), (logits.detach().argmax(dim=2) == labels).sum(dim=1)
    with _empty_gradients(cohort):
        separate, right = _backward(cohort, images, labels, label_smoothing, execution, streams, own_loss)
    cohort.update(lr, momentum)
    return torch.stack(separate), torch.stack(right)


def _empty_gradients(cohort: Cohort) -> AbstractContextManager[None]:
    """Context in which the networks have no gradients yet. On the CPU, and for a watched network, these are zeros."""
    if cohort.parameters.values.device.type == "cpu" or cohort.watch is not None:
        cohort.parameters.zero_gradients()
        return nullcontext()
    return cohort.parameters.fresh_gradients(cohort.networks)


def _backward(
    cohort: Cohort, images: Tensor, labels: Tensor, label_smoothing: float, execution: Execution,
    streams: ModelStreams, own_loss: LossOf | None,
) -> tuple[list[Tensor], list[Tensor]]:  # fmt: skip
    """Compute the gradients of each network. Returns losses and numbers of correct images."""
    loss_of = own_loss or partial(F.cross_entropy, label_smoothing=label_smoothing)
    separate, right = [], []
    for member, (network, member_images, member_labels) in enumerate(zip(cohort.networks, images, labels, strict=True)):
        with streams.member(member), execution.autocast():
            logits, auxiliary = split_outputs(network(member_images))  # (B, classes) each
        loss = loss_of(logits.float(), member_labels)
        for weight, other in zip(cohort.aux_weights, auxiliary, strict=bool(cohort.aux_weights)):
            loss = loss + weight * loss_of(other.float(), member_labels)
        loss.backward()  # type: ignore[no-untyped-call]
        separate.append(loss.detach())
        right.append((logits.detach().argmax(dim=1) == member_labels).sum())
    return separate, right


@dataclass
class EagerBackend:
    """Backend that launches each operation of a step from Python."""

    cohort: Cohort
    batches: CohortBatches
    label_smoothing: float
    execution: Execution
    stochastic_forward: bool = True
    """Whether forward passes may draw random numbers (dropout). Each member then has its own stream."""

    def __post_init__(self) -> None:
        self.metrics = self.new_metrics()

    def epoch(self, epoch: int) -> Iterator[int]:
        """See `StepBackend`."""
        self.metrics = self.new_metrics()
        rates = self.rates(epoch)
        streams = ModelStreams(self.batches.seeds, epoch) if self.stochastic_forward else NO_STREAMS
        for step, (images, labels) in enumerate(self.batches.epoch(epoch)):
            lr, momentum = (None if table is None else table[step] for table in rates)
            assert lr is not None
            loss_and_right = train_step(
                self.cohort, images, labels, lr, momentum, self.label_smoothing, self.execution, streams
            )
            self.metrics.write(step, *loss_and_right)
            yield step + 1

    def use_threads(self, threads: int) -> None:
        """See `StepBackend`. torch's kernels keep their threads, which decide their rounding."""

    def update(self, images: Tensor, labels: Tensor, lr: Tensor, momentum: Tensor | None) -> tuple[Tensor, Tensor]:
        """`train_step` of networks that draw no random numbers."""
        return train_step(self.cohort, images, labels, lr, momentum, self.label_smoothing, self.execution, NO_STREAMS)

    def rates(self, epoch: int) -> tuple[Tensor, Tensor | None]:
        """Learning rate of each step and, if a schedule varies it, momentum: (steps, K, 1) on the device."""
        device = self.cohort.parameters.values.device
        lr, momentum = (
            None if table is None else torch.from_numpy(table).to(device, torch.float32).unsqueeze(-1)
            for table in self.cohort.schedule.epoch_table(epoch)
        )
        assert lr is not None
        return lr, momentum

    def new_metrics(self) -> StepMetrics:
        """Empty metrics of one epoch."""
        return StepMetrics(self.batches.batch_sizes, len(self.cohort.networks), self.cohort.parameters.values.device)
