"""Interface of the backends that execute training steps, and the per-step metrics that they write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from cifar_lab.data.batches import batches_of
from cifar_lab.data.resident_split import ResidentSplit
from cifar_lab.training.cohort import Cohort


class StepBackend(Protocol):
    """Executes the steps of an epoch: eagerly, as a captured CUDA graph, or with this project's kernels."""

    cohort: Cohort
    metrics: StepMetrics
    """Of the current epoch."""

    def epoch(self, epoch: int) -> Iterator[int]:
        """Execute the steps of an epoch (counted from 0). Yields the number of completed steps after one or more."""

    def use_threads(self, threads: int) -> None:
        """Continue on so many CPU threads, if that leaves the bits of the run unchanged."""


@runtime_checkable
class Predictor(Protocol):
    """Backend that evaluates its networks itself."""

    def predict(self, split: ResidentSplit) -> Tensor | None:
        """Logits (K, N, classes) of all members in fp32 on the device. None leaves it to torch."""


@dataclass(frozen=True)
class BackendInfo:
    """Execution of a cohort's steps, for the record."""

    members: int = 1
    stacked: bool = False
    captured: bool = False
    own_kernels: bool = False
    """Whether this project's kernels make the steps."""
    eager_reason: str | None = None
    """Reason that a GPU runs steps uncaptured or networks one by one."""
    kernels_reason: str | None = None
    """Reason for torch's kernels although the settings allow this project's."""


@dataclass(frozen=True)
class EpochNumbers:
    """One member's metrics over an epoch."""

    loss: float
    """Mean over the images."""
    accuracy: float
    """Share of images classified correctly before the step that trained on them."""
    finite_steps: int
    """Steps before the first non-finite loss."""
    last_finite_loss: float
    """Loss of the last of those steps, 0 if the first loss was not finite."""


class StepMetrics:
    """Per-step loss and number of correct images of one epoch, kept on the device. Reading them synchronises."""

    def __init__(self, batch_sizes: Sequence[int], members: int, device: torch.device) -> None:
        """`batch_sizes`: images per member in each step of the epoch."""
        self.batch_sizes: Sequence[int] = tuple(batch_sizes)
        """Of the member with the most steps."""
        self.loss = torch.zeros(len(batch_sizes), members, device=device)
        """(steps, K): mean loss of each step, before its update."""
        self.right = torch.zeros(len(batch_sizes), members, device=device, dtype=torch.int64)
        """(steps, K): correctly classified images of each step, before its update."""

    def write(self, step: int, loss: Tensor, right: Tensor) -> None:
        """Store one step's (K,) losses and correct counts without synchronising."""
        self.loss[step] = loss
        self.right[step] = right

    def all_diverged(self, steps: int) -> bool:
        """Whether every member had a non-finite loss in the first `steps`."""
        return bool((~torch.isfinite(self.loss[:steps])).any(dim=0).all())

    def completed(self, steps: int) -> list[int]:
        """Completed steps of each member, after `steps` of the member with the most."""
        return [steps] * self.loss.shape[1]

    def first_member(self, steps: int) -> tuple[float, float]:
        """(mean loss, accuracy) of the first member over the first `steps`."""
        numbers = self._numbers(steps, slice(0, 1))[0]
        return numbers.loss, numbers.accuracy

    def numbers(self, steps: int) -> list[EpochNumbers]:
        """Metrics of each member over the first `steps`."""
        return self._numbers(steps, slice(None))

    def _numbers(self, steps: int, members: slice) -> list[EpochNumbers]:
        losses = self.loss[:steps, members].cpu().double()  # (steps, K)
        right = self.right[:steps, members].cpu().double()
        sizes = torch.tensor(self.batch_sizes[:steps], dtype=torch.float64).unsqueeze(1)  # (steps, 1)
        return _numbers_of(losses, right, sizes, dim=0)


class MemberMetrics(StepMetrics):
    """Metrics of members with their own batches. The order of a member's sums depends on its own steps alone."""

    def __init__(self, images: int, sizes: Sequence[int], device: torch.device) -> None:
        """`images` per epoch. `sizes`: batch size of each member."""
        super().__init__(batches_of(images, min(sizes)), len(sizes), device)
        self._batches = {size: batches_of(images, size) for size in set(sizes)}
        self._sizes = tuple(sizes)
        self._steps = [len(self._batches[size]) for size in sizes]

    def completed(self, steps: int) -> list[int]:
        """See `StepMetrics`. Members finish equal shares of their epochs."""
        return [each * steps // len(self.batch_sizes) for each in self._steps]

    def all_diverged(self, steps: int) -> bool:
        """See `StepMetrics`."""
        completed = torch.tensor(self.completed(steps), device=self.loss.device)
        made = torch.arange(steps, device=self.loss.device).unsqueeze(1) < completed  # (steps, K)
        return bool((made & ~torch.isfinite(self.loss[:steps])).any(dim=0).all())

    def _numbers(self, steps: int, members: slice) -> list[EpochNumbers]:
        loss, right = (table[:steps].T.contiguous().cpu() for table in (self.loss, self.right))  # (K, steps)
        chosen = range(len(loss))[members]
        found: dict[int, EpochNumbers] = {}
        for size in {self._sizes[member] for member in chosen}:
            rows = [member for member in chosen if self._sizes[member] == size]
            done = len(self._batches[size]) * steps // len(self.batch_sizes)
            images = torch.tensor(self._batches[size][:done], dtype=torch.float64)
            losses, counts = loss[rows, :done].double(), right[rows, :done].double()  # (members, steps)
            found.update(zip(rows, _numbers_of(losses, counts, images, dim=1), strict=True))
        return [found[member] for member in chosen]


def _numbers_of(losses: Tensor, right: Tensor, sizes: Tensor, dim: int) -> list[EpochNumbers]:
    """Metrics of each member, from float64 tables of its steps along `dim`. `sizes`: images of the steps."""
    images = float(sizes.sum())
    means = ((losses * sizes).sum(dim=dim) / images).tolist()
    shares = (right.sum(dim=dim) / images).tolist()
    finite = torch.isfinite(losses).long().cumprod(dim=dim).sum(dim=dim).tolist()
    by_member = losses.movedim(dim, 1)
    return [
        EpochNumbers(mean, share, steps_before, float(by_member[k, steps_before - 1]) if steps_before else 0.0)
        for k, (mean, share, steps_before) in enumerate(zip(means, shares, finite, strict=True))
    ]
