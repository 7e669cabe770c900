"""The plain backend: torch's own loop over one network, for components that no other backend knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from cifar_lab.data.mixing import larger_part
from cifar_lab.data.random_streams import ModelStreams
from cifar_lab.models.outputs import split_outputs
from cifar_lab.training.backends.eager import EagerBackend, mixed_loss, train_step
from cifar_lab.training.device import Execution
from cifar_lab.training.optim.from_torch import TorchRule
from cifar_lab.training.own_functions import LossOf


@dataclass
class PlainBackend(EagerBackend):
    """Backend of optimizers that torch executes, and of losses and augmentations of the user. One network."""

    own_loss: LossOf | None = None

    def epoch(self, epoch: int) -> Iterator[int]:
        """See `StepBackend`."""
        self.metrics = self.new_metrics()
        lr, momentum = self.cohort.schedule.epoch_table(epoch)  # float64, as torch's own loop has them
        streams = ModelStreams(self.batches.seeds, epoch)
        mix = self.batches.mix(epoch)
        self._mode("train")
        for step, (images, labels) in enumerate(self.training_batches(epoch)):
            override = None if momentum is None else float(momentum[step, 0])
            share = None if mix is None else mix.share[step]
            self.metrics.write(step, *self.step(images, labels, float(lr[step, 0]), override, streams, share))
            yield step + 1
        self._mode("eval")  # also before a checkpoint, so that a resumed run makes the same changes of mode

    def _mode(self, name: Literal["train", "eval"]) -> None:
        if isinstance(rule := self.cohort.optimizer, TorchRule):
            rule.mode(name)

    def step(
        self,
        images: Tensor,
        labels: Tensor,
        lr: float,
        momentum: float | None,
        streams: ModelStreams,
        share: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Update the network once. Arguments and result as of `train_step`, with numbers for the rates."""
        rule = self.cohort.optimizer
        if not isinstance(rule, TorchRule):
            rates = (
                None if value is None else torch.full((1, 1), value, device=images.device) for value in (lr, momentum)
            )
            first, second = rates
            assert first is not None
            return train_step(
                self.cohort, images, labels, first, second, self.label_smoothing, self.execution, streams,
                self.own_loss, share, self.teacher,
            )  # fmt: skip
        batch = _Batch(self, rule, images[0], labels, share)
        batch()
        loss, right = batch.loss.detach(), batch.right
        rule.update(batch, lr, momentum)
        self.cohort.after_step()
        return loss.unsqueeze(0), right.unsqueeze(0)

    def loss_of(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of the run."""
        if self.own_loss is not None:
            return self.own_loss(logits, labels)
        return F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)


class _Batch:
    """Closure of one batch: computes the loss and the gradients anew."""

    def __init__(
        self, backend: PlainBackend, rule: TorchRule, images: Tensor, labels: Tensor, share: Tensor | None
    ) -> None:
        """`labels` (1, B)."""
        self._backend, self._rule, self._images, self._labels = backend, rule, images, labels[0]
        self._loss_of = backend.loss_of if share is None else mixed_loss(backend.loss_of, share[0])
        self._named = larger_part(labels, share)[0]
        self._wanted = None if backend.teacher is None else backend.teacher.logits(images.unsqueeze(0))[0]
        (self._network,) = backend.cohort.networks
        self.loss: Tensor
        """Of the last evaluation."""
        self.right: Tensor
        """Correctly classified images of the last evaluation."""

    def __call__(self) -> Tensor:
        for parameter in self._network.parameters():
            parameter.grad = None
        with self._execution.autocast():
            logits, auxiliary = split_outputs(self._backend.cohort.forwards[0](self._images))
        loss = self._loss_of(logits.float(), self._labels)
        if self._backend.teacher is not None and self._wanted is not None:
            loss = self._backend.teacher.blend(loss, logits, self._wanted)
        weights = self._backend.cohort.aux_weights
        for weight, other in zip(weights, auxiliary, strict=bool(weights)):
            loss = loss + weight * self._loss_of(other.float(), self._labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self._rule.clip()
        self.loss, self.right = loss, (logits.detach().argmax(dim=1) == self._named).sum()
        return loss

    @property
    def _execution(self) -> Execution:
        return self._backend.execution
