"""The training step, and the backend that executes each step eagerly with torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from cifar_lab.data.batches import CohortBatches
from cifar_lab.data.mixing import Mix, larger_part, neighbour
from cifar_lab.data.random_streams import NO_STREAMS, ModelStreams
from cifar_lab.models.few_launches import counted_at_once, fresh_gradients
from cifar_lab.models.outputs import split_outputs
from cifar_lab.training.adversary import Adversary
from cifar_lab.training.backends.base import MemberMetrics, StepMetrics
from cifar_lab.training.cohort import Cohort
from cifar_lab.training.device import Execution
from cifar_lab.training.own_functions import LossOf

if TYPE_CHECKING:
    from cifar_lab.training.teacher import Teacher


def train_step(
    cohort: Cohort, images: Tensor, labels: Tensor, lr: Tensor, momentum: Tensor | None, label_smoothing: float,
    execution: Execution, streams: ModelStreams, own_loss: LossOf | None = None, share: Tensor | None = None,
    teacher: Teacher | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Update every member once.

    Args:
        images: (K, B, 3, 32, 32).
        labels: (K, B).
        lr, momentum: (K, 1).
        own_loss: loss of the user, in place of cross-entropy. The networks are then not stacked.
        share: (K,) of each image's own label where images are mixed, see `data.mixing`.
        teacher: network whose logits are targets beside the labels.

    Returns:
        Loss (K,) and number of correct images (K,), both from before the update.
    """
    wanted = None if teacher is None else teacher.logits(images)
    if cohort.stacked is not None:
        with execution.autocast():
            logits = cohort.stacked(images)  # (K, B, classes)
        each = partial(F.cross_entropy, logits.float().flatten(0, 1), reduction="none", label_smoothing=label_smoothing)
        losses = each(labels.flatten()).view(labels.shape).mean(dim=1)  # (K,)
        if share is not None:
            others = each(neighbour(labels).flatten()).view(labels.shape).mean(dim=1)
            losses = share * losses + (1 - share) * others
        if teacher is not None and wanted is not None:
            losses = teacher.blend(losses, logits, wanted)
        # No member's loss depends on another's weights, so the gradient of the sum is each member's own.
        cohort.stacked.backward(losses.sum())
        cohort.update(lr, momentum)
        return losses.detach(), (logits.detach().argmax(dim=2) == larger_part(labels, share)).sum(dim=1)
    plain_loss = own_loss or partial(F.cross_entropy, label_smoothing=label_smoothing)
    losses_of = [plain_loss] * len(images) if share is None else [mixed_loss(plain_loss, each) for each in share]

    def blend(member: int, loss: Tensor, logits: Tensor) -> Tensor:
        return loss if teacher is None or wanted is None else teacher.blend(loss, logits, wanted[member])

    with _empty_gradients(cohort, execution):
        separate, predicted = _backward(cohort, images, labels, losses_of, blend, execution, streams)
    cohort.update(lr, momentum)
    return torch.stack(separate), (torch.stack(predicted) == larger_part(labels, share)).sum(dim=1)


@contextmanager
def _empty_gradients(cohort: Cohort, execution: Execution) -> Iterator[None]:
    """Context in which the networks have no gradients yet. On the CPU, and for a watched network, these are zeros."""
    if cohort.parameters.values.device.type == "cpu" or cohort.watch is not None:
        cohort.parameters.zero_gradients()
        yield
    elif cohort.networks[0]._compiled_call_impl is not None:  # compiled for these parameters and buffers
        with fresh_gradients(cohort.parameters, cohort.networks):
            yield
    else:
        low = torch.bfloat16 if execution.bf16 else None
        with fresh_gradients(cohort.parameters, cohort.networks, low), counted_at_once(cohort.forwards):
            yield


def _backward(
    cohort: Cohort, images: Tensor, labels: Tensor, losses_of: Sequence[LossOf],
    blend: Callable[[int, Tensor, Tensor], Tensor], execution: Execution, streams: ModelStreams,
) -> tuple[list[Tensor], list[Tensor]]:  # fmt: skip
    """Compute the gradients of each network. `blend` adds a teacher. Returns losses and predicted classes (B,)."""
    separate, predicted = [], []
    for member, (network, member_images, member_labels) in enumerate(zip(cohort.forwards, images, labels, strict=True)):
        with streams.member(member), execution.autocast():
            logits, auxiliary = split_outputs(network(member_images))  # (B, classes) each
        loss_of = losses_of[member]
        loss = blend(member, loss_of(logits.float(), member_labels), logits)
        for weight, other in zip(cohort.aux_weights, auxiliary, strict=bool(cohort.aux_weights)):
            loss = loss + weight * loss_of(other.float(), member_labels)
        loss.backward()  # type: ignore[no-untyped-call]
        separate.append(loss.detach())
        predicted.append(logits.detach().argmax(dim=1))
    return separate, predicted


def mixed_loss(loss_of: LossOf, share: Tensor) -> LossOf:
    """Loss of images that are mixed with their neighbours: that of both labels by their shares."""
    return lambda logits, labels: share * loss_of(logits, labels) + (1 - share) * loss_of(logits, labels.roll(1))


@dataclass
class EagerBackend:
    """Backend that launches each operation of a step from Python."""

    cohort: Cohort
    batches: CohortBatches
    label_smoothing: float
    execution: Execution
    teacher: Teacher | None = field(default=None, kw_only=True)
    stochastic_forward: bool = True
    """Whether forward passes may draw random numbers (dropout). Each member then has its own stream."""
    adversary: Adversary | None = None
    """Attacks the batches. None trains on the clean ones."""

    def __post_init__(self) -> None:
        self.metrics = self.new_metrics()

    def epoch(self, epoch: int) -> Iterator[int]:
        """See `StepBackend`."""
        self.metrics = self.new_metrics()
        rates, mix = self.rates(epoch), self.batches.mix(epoch)
        streams = ModelStreams(self.batches.seeds, epoch) if self.stochastic_forward else NO_STREAMS
        for step, (images, labels) in enumerate(self.training_batches(epoch)):
            lr, momentum = (None if table is None else table[step] for table in rates)
            assert lr is not None
            share = None if mix is None else mix.share[step]
            loss_and_right = train_step(
                self.cohort, images, labels, lr, momentum, self.label_smoothing, self.execution, streams, share=share,
                teacher=self.teacher,
            )  # fmt: skip
            self.metrics.write(step, *loss_and_right)
            yield step + 1

    def training_batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of an epoch as the steps see them: images (K, B, 3, H, W) and labels (K, B)."""
        batches = self.batches.epoch(epoch)
        return batches if self.adversary is None else self.adversary.epoch(batches, epoch)

    def use_threads(self, threads: int) -> None:
        """See `StepBackend`. torch's kernels keep their threads, which decide their rounding."""

    def update(
        self, images: Tensor, labels: Tensor, lr: Tensor, momentum: Tensor | None, mix: Mix | None = None
    ) -> tuple[Tensor, Tensor]:
        """`train_step` of networks that draw no random numbers, on images that are still to be mixed."""
        images, share = (images, None) if mix is None else (mix.images(images), mix.share)
        return train_step(
            self.cohort, images, labels, lr, momentum, self.label_smoothing, self.execution, NO_STREAMS, share=share,
            teacher=self.teacher,
        )  # fmt: skip

    def rates(self, epoch: int) -> tuple[Tensor, Tensor | None]:
        """Learning rate of each step and, if a schedule varies it, momentum: (steps, K, 1) on the device.

        See `CohortSchedule.epoch_table`.
        """
        device = self.cohort.parameters.values.device
        lr, momentum = (
            None if table is None else torch.from_numpy(table).to(device, torch.float32).unsqueeze(-1)
            for table in self.cohort.schedule.epoch_table(epoch)
        )
        assert lr is not None
        return lr, momentum

    def new_metrics(self) -> StepMetrics:
        """Empty metrics of one epoch."""
        batches, device = self.batches, self.cohort.parameters.values.device
        if len(set(batches.sizes)) > 1:  # another backend makes the steps
            return MemberMetrics(len(batches.split), batches.sizes, device)
        return StepMetrics(batches.batch_sizes, len(self.cohort.networks), device)
