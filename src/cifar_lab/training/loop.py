"""The training loop of a cohort: K runs of one architecture that train together. A single run is a cohort of one.

The loop receives its objects. It builds none of them, and it knows neither files nor the test split.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from cifar_lab.store.records import EpochMetrics, SplitScore
from cifar_lab.training.backends.base import EpochNumbers, StepBackend
from cifar_lab.training.cohort import Member

CHECK_STEPS = 50
"""Steps between reads of the loss. Each read synchronises the device."""


class Callback(Protocol):
    """Receives the progress of training."""

    def step(self, epoch: int, step: int, steps: int, loss: float, accuracy: float) -> None:
        """Called after `step` of `steps` of `epoch` (from 1), with means of the first member's epoch so far."""

    def epoch(self, members: Sequence[Member]) -> None:
        """Called when an epoch is complete and in each member's history. May raise to end the training."""


Validate = Callable[[], Sequence[SplitScore | None]]
"""Scores each member on the validation split. None means logits that are not finite."""


def train(
    backend: StepBackend,
    members: Sequence[Member],
    *,
    start_epoch: int,
    epochs: int,
    validate: Validate | None,
    callback: Callback,
) -> None:
    """Train from `start_epoch` (epochs already completed) to `epochs`: step, validate, record, call back."""
    for epoch in range(start_epoch, epochs):
        began = time.monotonic()
        done = train_epoch(backend, epoch, callback)
        scores = validate() if validate is not None else None
        _record_epoch(backend, members, epoch, done, scores, time.monotonic() - began)
        callback.epoch(members)
        if all(member.diverged for member in members):
            return


def train_epoch(backend: StepBackend, epoch: int, callback: Callback) -> int:
    """Train every member for one epoch (counted from 0). Stops early if every member's loss is non-finite.

    Returns:
        Number of completed steps, of the member with the most. Their metrics are in `backend.metrics`.
    """
    backend.cohort.begin_epoch(epoch)
    done = 0
    for done in backend.epoch(epoch):
        if done % CHECK_STEPS == 0:
            if backend.metrics.all_diverged(done):
                break
            steps, of = (backend.metrics.completed(each)[0] for each in (done, len(backend.metrics.batch_sizes)))
            if steps:
                callback.step(epoch + 1, steps, of, *backend.metrics.first_member(done))
    return done


def _record_epoch(
    backend: StepBackend,
    members: Sequence[Member],
    epoch: int,
    done: int,
    scores: Sequence[SplitScore | None] | None,
    seconds: float,
) -> None:
    """Append the epoch to each member's history, mark members that diverged, and update the schedules."""
    cohort = backend.cohort
    rates, steps = cohort.schedule.epoch_table(epoch)[0], backend.metrics.completed(done)
    weights_finite = torch.isfinite(cohort.parameters.values).all(dim=1).tolist()
    watched: list[dict[str, float | None]] = []
    for k, (member, numbers) in enumerate(zip(members, backend.metrics.numbers(done), strict=True)):
        validation_failed = scores is not None and scores[k] is None
        member.diverged = member.diverged or _divergence(epoch, steps[k], numbers, weights_finite[k], validation_failed)
        if member.diverged is not None:
            watched.append({"train_loss": None, "val_loss": None, "val_accuracy": None})
            continue
        member.val = scores[k] if scores is not None else None
        line = EpochMetrics(
            epoch=epoch + 1,
            lr=float(rates[steps[k] - 1, k]),
            train_loss=numbers.loss,
            train_accuracy=numbers.accuracy,
            val_loss=member.val.loss if member.val is not None else None,
            val_accuracy=member.val.accuracy if member.val is not None else None,
            seconds=seconds,
            metrics={} if member.val is None else member.val.metrics,
        )
        member.history.append(line)
        watched.append({"train_loss": line.train_loss, "val_loss": line.val_loss, "val_accuracy": line.val_accuracy})
    cohort.schedule.end_epoch(watched)


def _divergence(
    epoch: int, done: int, numbers: EpochNumbers, weights_finite: bool, validation_failed: bool
) -> str | None:
    """First non-finite number of a member's epoch, as text for the record. None if all are finite."""
    if numbers.finite_steps < done:
        where = f"in epoch {epoch + 1} at step {numbers.finite_steps + 1}"
        last = f"; the last finite loss was {numbers.last_finite_loss:.4g}" if numbers.finite_steps else ""
        return f"the loss was not finite {where}{last}"
    if not weights_finite:
        return f"a weight was not finite at the end of epoch {epoch + 1}"
    return f"the validation loss was not finite after epoch {epoch + 1}" if validation_failed else None
