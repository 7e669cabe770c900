"""The training step and the loop around it, for a cohort: K runs of one architecture side by side.

A single run is a cohort of one. The loop is handed its objects; it builds none, and knows no files and no test split.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cifar_lab.data.batches import CohortBatches
from cifar_lab.optim import CohortOptimizer, CohortSchedule, FlatParameters
from cifar_lab.records import EpochMetrics, SplitScore
from cifar_lab.runtime import Execution, ModelStreams

CHECK_STEPS = 50
"""Steps between looks at the loss: each look makes a GPU wait."""


@dataclass(frozen=True)
class Cohort:
    """K networks of one architecture and what updates them."""

    networks: Sequence[nn.Module]
    parameters: FlatParameters
    optimizer: CohortOptimizer
    schedule: CohortSchedule

    def state(self) -> dict[str, Any]:
        """Everything that later steps depend on; streams of random numbers are derived, so they need no saving."""
        return {
            "networks": [network.state_dict() for network in self.networks],
            "optimizer": self.optimizer.state(),
            "schedule": self.schedule.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state`.

        Raises:
            KeyError, ValueError, RuntimeError: a part is missing or does not fit.
        """
        for network, weights in zip(self.networks, state["networks"], strict=True):
            network.load_state_dict(weights)
        self.optimizer.load_state(state["optimizer"])
        self.schedule.load_state(state["schedule"])


@dataclass
class Member:
    """What is known of one run of a cohort while it trains."""

    history: list[EpochMetrics] = field(default_factory=list)
    diverged: str | None = None
    """Why and where its numbers stopped being finite."""


class Watcher(Protocol):
    """Who is told how training goes."""

    def step(self, epoch: int, step: int, steps: int, loss: float, accuracy: float) -> None:
        """`step` of `steps` of `epoch` (from 1) are done; means of the first member's epoch so far."""

    def epoch(self, members: Sequence[Member]) -> None:
        """An epoch has ended and is in each member's history. May raise to end the training here."""


Validate = Callable[[], Sequence[SplitScore | None]]
"""Scores of the validation split, one a member; None for numbers that are not finite."""


def train_step(
    cohort: Cohort, images: Tensor, labels: Tensor, lr: Tensor, momentum: Tensor | None, label_smoothing: float,
    execution: Execution, streams: ModelStreams,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """One update of every member; (loss (K,), number of images right (K,)) as they were before it.

    images (K, B, 3, 32, 32), labels (K, B), lr and momentum (K, 1).
    """
    cohort.parameters.zero_gradients()
    losses, right = [], []
    for member, (network, member_images, member_labels) in enumerate(zip(cohort.networks, images, labels, strict=True)):
        with streams.member(member), execution.autocast():
            logits = network(member_images)  # (B, classes)
        loss = F.cross_entropy(logits.float(), member_labels, label_smoothing=label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach())
        right.append((logits.detach().argmax(dim=1) == member_labels).sum())
    cohort.optimizer.step(lr, momentum)
    return torch.stack(losses), torch.stack(right)


@dataclass
class EpochTotals:
    """Running sums of one epoch on the device, all (K,)."""

    loss: Tensor
    right: Tensor
    finite_steps: Tensor
    """Steps before the first loss that was not finite."""
    last_finite_loss: Tensor
    images: int = 0
    steps: int = 0

    @classmethod
    def zeros(cls, members: int, device: torch.device) -> EpochTotals:
        """An epoch that has not begun."""
        loss, right, finite_steps, last = (torch.zeros(members, device=device, dtype=torch.float64) for _ in range(4))
        return cls(loss, right, finite_steps, last)

    def add(self, loss: Tensor, right: Tensor, batch_size: int) -> None:
        """Count one step, without waiting for the device."""
        self.loss += loss * batch_size
        self.right += right
        self.finite_steps += (self.finite_steps == self.steps) & torch.isfinite(loss)
        self.last_finite_loss = torch.where(torch.isfinite(loss), loss.double(), self.last_finite_loss)
        self.images += batch_size
        self.steps += 1

    def all_diverged(self) -> bool:
        """Whether no member is left with finite losses; waits for the device."""
        return bool((self.finite_steps < self.steps).all())


def train_epoch(
    cohort: Cohort, batches: CohortBatches, epoch: int, label_smoothing: float, execution: Execution, watcher: Watcher
) -> EpochTotals:
    """Train every member for one epoch (counted from 0); ends early when no member's loss is finite any more."""
    device = cohort.parameters.values.device
    lr_table, momentum_table = (
        None if table is None else torch.from_numpy(table).to(device, torch.float32).unsqueeze(-1)  # (steps, K, 1)
        for table in cohort.schedule.epoch_table(epoch)
    )
    assert lr_table is not None
    for network in cohort.networks:
        network.train()
    totals = EpochTotals.zeros(len(cohort.networks), device)
    streams = ModelStreams(batches.seeds, epoch)
    for step, (images, labels) in enumerate(batches.epoch(epoch)):
        momentum = None if momentum_table is None else momentum_table[step]
        loss, right = train_step(cohort, images, labels, lr_table[step], momentum, label_smoothing, execution, streams)
        totals.add(loss, right, labels.shape[1])
        if totals.steps % CHECK_STEPS == 0:
            if totals.all_diverged():
                break
            mean_loss, accuracy = float(totals.loss[0]) / totals.images, float(totals.right[0]) / totals.images
            watcher.step(epoch + 1, totals.steps, batches.steps_per_epoch, mean_loss, accuracy)
    return totals


def train(
    cohort: Cohort,
    batches: CohortBatches,
    members: Sequence[Member],
    *,
    start_epoch: int,
    epochs: int,
    label_smoothing: float,
    execution: Execution,
    validate: Validate | None,
    watcher: Watcher,
) -> None:
    """Train from `start_epoch` (epochs already done) to `epochs`: step, record, validate, tell, epoch after epoch."""
    for epoch in range(start_epoch, epochs):
        began = time.monotonic()
        totals = train_epoch(cohort, batches, epoch, label_smoothing, execution, watcher)
        scores = validate() if validate is not None else None
        _record_epoch(cohort, members, epoch, totals, scores, time.monotonic() - began)
        watcher.epoch(members)
        if all(member.diverged for member in members):
            return


def _record_epoch(
    cohort: Cohort,
    members: Sequence[Member],
    epoch: int,
    totals: EpochTotals,
    scores: Sequence[SplitScore | None] | None,
    seconds: float,
) -> None:
    """Append the epoch to each member's history, mark those that diverged in it, let the schedule decide."""
    last_lr = cohort.schedule.epoch_table(epoch)[0][totals.steps - 1]
    weights_finite = torch.isfinite(cohort.parameters.values).all(dim=1).tolist()
    metrics = []
    for k, member in enumerate(members):
        finite_steps, loss = int(totals.finite_steps[k]), float(totals.loss[k]) / totals.images
        if member.diverged is None:
            if finite_steps < totals.steps:
                last = f"; the last finite loss was {float(totals.last_finite_loss[k]):.4g}" if finite_steps else ""
                member.diverged = f"the loss was not finite in epoch {epoch + 1} at step {finite_steps + 1}{last}"
            elif not weights_finite[k]:
                member.diverged = f"a weight was not finite at the end of epoch {epoch + 1}"
            elif scores is not None and scores[k] is None:
                member.diverged = f"the validation loss was not finite after epoch {epoch + 1}"
        healthy = member.diverged is None
        val = scores[k] if scores is not None and healthy else None
        line = EpochMetrics(
            epoch=epoch + 1,
            lr=float(last_lr[k]),
            train_loss=loss if healthy else None,
            train_accuracy=float(totals.right[k]) / totals.images if healthy else None,
            val_loss=val.loss if val is not None else None,
            val_accuracy=val.accuracy if val is not None else None,
            seconds=seconds,
        )
        if healthy:
            member.history.append(line)
        metrics.append({"train_loss": line.train_loss, "val_loss": line.val_loss, "val_accuracy": line.val_accuracy})
    cohort.schedule.end_epoch(metrics)
