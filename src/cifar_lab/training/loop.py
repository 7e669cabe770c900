"""The training step and the loop around it, for a cohort: K runs of one architecture side by side.

A single run is a cohort of one. The loop is handed its objects; it builds none, and knows no files and no test split.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from cifar_lab.data.batches import CohortBatches
from cifar_lab.data.random_streams import NO_STREAMS, ModelStreams
from cifar_lab.store.records import EpochMetrics, SplitScore
from cifar_lab.training.cohort import Cohort, Member
from cifar_lab.training.device import Execution
from cifar_lab.training.step_metrics import StepMetrics

CHECK_STEPS = 50
"""Steps between looks at the loss: each look makes a GPU wait."""


class Watcher(Protocol):
    """Who is told how training goes."""

    def step(self, epoch: int, step: int, steps: int, loss: float, accuracy: float) -> None:
        """`step` of `steps` of `epoch` (from 1) are done; means of the first member's epoch so far."""

    def epoch(self, members: Sequence[Member]) -> None:
        """An epoch has ended and is in each member's history. May raise to end the training here."""


Validate = Callable[[], Sequence[SplitScore | None]]
"""Scores of the validation split, one a member; None for numbers that are not finite."""


class StepBackend(Protocol):
    """Who makes the steps of an epoch, and how: one by one (`EagerSteps`), or replayed (`graph_steps`)."""

    cohort: Cohort
    ledger: StepMetrics
    """Of the epoch under way."""

    def epoch(self, epoch: int) -> Iterator[int]:
        """Make the steps of an epoch (counted from 0), yielding how many are done after each."""


def train_step(
    cohort: Cohort, images: Tensor, labels: Tensor, lr: Tensor, momentum: Tensor | None, label_smoothing: float,
    execution: Execution, streams: ModelStreams,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """One update of every member; (loss (K,), number of images right (K,)) as they were before it.

    images (K, B, 3, 32, 32), labels (K, B), lr and momentum (K, 1).
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
    cohort.parameters.zero_gradients()
    separate, right = [], []
    for member, (network, member_images, member_labels) in enumerate(zip(cohort.networks, images, labels, strict=True)):
        with streams.member(member), execution.autocast():
            logits = network(member_images)  # (B, classes)
        loss = F.cross_entropy(logits.float(), member_labels, label_smoothing=label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        separate.append(loss.detach())
        right.append((logits.detach().argmax(dim=1) == member_labels).sum())
    cohort.optimizer.step(lr, momentum)
    return torch.stack(separate), torch.stack(right)


@dataclass
class EagerBackend:
    """Steps made one by one as Python says."""

    cohort: Cohort
    batches: CohortBatches
    label_smoothing: float
    execution: Execution
    model_draws: bool = True
    """Whether the networks may draw chance of their own (dropout), which then comes from streams of each member."""

    def __post_init__(self) -> None:
        self.ledger = self.new_ledger()

    def epoch(self, epoch: int) -> Iterator[int]:
        """See `Steps`."""
        self.ledger = self.new_ledger()
        rates = self.rates(epoch)
        streams = ModelStreams(self.batches.seeds, epoch) if self.model_draws else NO_STREAMS
        for step, (images, labels) in enumerate(self.batches.epoch(epoch)):
            self.make(step, images, labels, rates, streams)
            yield step + 1

    def make(
        self, step: int, images: Tensor, labels: Tensor, rates: tuple[Tensor, Tensor | None], streams: ModelStreams
    ) -> None:
        """One step of the epoch, into the ledger."""
        lr, momentum = (None if table is None else table[step] for table in rates)
        assert lr is not None
        outcome = train_step(self.cohort, images, labels, lr, momentum, self.label_smoothing, self.execution, streams)
        self.ledger.write(step, *outcome)

    def rates(self, epoch: int) -> tuple[Tensor, Tensor | None]:
        """Learning rate and, where a schedule moves it, momentum of each step: (steps, K, 1) on the device."""
        device = self.cohort.parameters.values.device
        lr, momentum = (
            None if table is None else torch.from_numpy(table).to(device, torch.float32).unsqueeze(-1)
            for table in self.cohort.schedule.epoch_table(epoch)
        )
        assert lr is not None
        return lr, momentum

    def new_ledger(self) -> StepMetrics:
        """An empty ledger of one epoch."""
        return StepMetrics(self.batches.batch_sizes, len(self.cohort.networks), self.cohort.parameters.values.device)


def train_epoch(steps: StepBackend, epoch: int, watcher: Watcher) -> int:
    """Train every member for one epoch (counted from 0); ends early when no member's loss is finite any more.

    Returns:
        The steps made; what they came to is in `steps.ledger`.
    """
    steps.cohort.train_mode()
    done = 0
    for done in steps.epoch(epoch):
        if done % CHECK_STEPS == 0:
            if steps.ledger.all_diverged(done):
                break
            watcher.step(epoch + 1, done, len(steps.ledger.batch_sizes), *steps.ledger.first_member(done))
    return done


def train(
    steps: StepBackend,
    members: Sequence[Member],
    *,
    start_epoch: int,
    epochs: int,
    validate: Validate | None,
    watcher: Watcher,
) -> None:
    """Train from `start_epoch` (epochs already done) to `epochs`: step, record, validate, tell, epoch after epoch."""
    for epoch in range(start_epoch, epochs):
        began = time.monotonic()
        done = train_epoch(steps, epoch, watcher)
        scores = validate() if validate is not None else None
        _record_epoch(steps, members, epoch, done, scores, time.monotonic() - began)
        watcher.epoch(members)
        if all(member.diverged for member in members):
            return


def _record_epoch(
    steps: StepBackend,
    members: Sequence[Member],
    epoch: int,
    done: int,
    scores: Sequence[SplitScore | None] | None,
    seconds: float,
) -> None:
    """Append the epoch to each member's history, mark those that diverged in it, let the schedule decide."""
    cohort = steps.cohort
    last_lr = cohort.schedule.epoch_table(epoch)[0][done - 1]
    weights_finite = torch.isfinite(cohort.parameters.values).all(dim=1).tolist()
    watched: list[dict[str, float | None]] = []
    for k, (member, numbers) in enumerate(zip(members, steps.ledger.numbers(done), strict=True)):
        if member.diverged is None:
            if numbers.finite_steps < done:
                where = f"in epoch {epoch + 1} at step {numbers.finite_steps + 1}"
                last = f"; the last finite loss was {numbers.last_finite_loss:.4g}" if numbers.finite_steps else ""
                member.diverged = f"the loss was not finite {where}{last}"
            elif not weights_finite[k]:
                member.diverged = f"a weight was not finite at the end of epoch {epoch + 1}"
            elif scores is not None and scores[k] is None:
                member.diverged = f"the validation loss was not finite after epoch {epoch + 1}"
        if member.diverged is not None:
            watched.append({"train_loss": None, "val_loss": None, "val_accuracy": None})
            continue
        member.val = scores[k] if scores is not None else None
        line = EpochMetrics(
            epoch=epoch + 1,
            lr=float(last_lr[k]),
            train_loss=numbers.loss,
            train_accuracy=numbers.accuracy,
            val_loss=member.val.loss if member.val is not None else None,
            val_accuracy=member.val.accuracy if member.val is not None else None,
            seconds=seconds,
        )
        member.history.append(line)
        watched.append({"train_loss": line.train_loss, "val_loss": line.val_loss, "val_accuracy": line.val_accuracy})
    cohort.schedule.end_epoch(watched)
