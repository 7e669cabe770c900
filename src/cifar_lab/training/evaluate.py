"""Evaluation of a trained network on a split: `predict` returns logits, `score` judges them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cifar_lab.config import Ema
from cifar_lab.config.data import IMAGE_SIDE
from cifar_lab.data.resident_split import ResidentSplit
from cifar_lab.models.input_size import input_size
from cifar_lab.models.outputs import main_output
from cifar_lab.store.records import SplitScore
from cifar_lab.training.cohort import Stacked
from cifar_lab.training.device import Execution

EVALUATION_BATCH_SIZE = 500
"""Images of 32 × 32 pixels per pass. Of larger ones as many as have the same number of pixels."""

SCORED_TOGETHER = 32
"""Networks per pass of `score_all`, whose numbers are float64: 13 MB each for 5,000 images."""

STACKED_EVALUATION_IMAGES = 8_000
"""Images per pass over all members. The patches of Net's first convolution then take 1.9 GB."""


TTA_METRIC = "accuracy_tta"
"""Name in the record of the accuracy with mirror images."""


@torch.no_grad()
def predict(network: nn.Module, split: ResidentSplit, execution: Execution, *, mirrored: bool = False) -> Tensor:
    """Logits (N, classes) in fp32 on the CPU, in data-set order. `mirrored`: of the mirror images.

    Runs in evaluation mode (BatchNorm uses its running statistics) and restores the network's mode.
    """
    was_training = network.training
    network.eval()
    logits = []
    side = input_size(network) or split.side
    size = images_per_pass(side, EVALUATION_BATCH_SIZE)
    for start in range(0, len(split), size):
        images, _ = split.normalized(start, start + size)  # (B, 3, 32, 32)
        images = images.flip(3) if mirrored else images
        with execution.autocast():
            logits.append(main_output(network(images)).float().cpu())
    network.train(was_training)
    return torch.cat(logits)


@torch.no_grad()
def predict_stacked(stacked: Stacked, members: int, split: ResidentSplit, execution: Execution) -> Tensor:
    """Logits (K, N, classes) of all members in fp32 on the CPU, each as `predict` gives them.

    Leaves the networks in training mode.
    """
    stacked.train(False)
    size = min(EVALUATION_BATCH_SIZE, max(1, STACKED_EVALUATION_IMAGES // members))
    size = images_per_pass(split.side, size)
    logits = []
    for start in range(0, len(split), size):
        images, _ = split.normalized(start, start + size)  # (B, 3, 32, 32)
        with execution.autocast():
            logits.append(stacked(images.expand(members, *images.shape)).float())
    stacked.train()
    return torch.cat(logits, dim=1).cpu()


def with_flip_tta(
    found: SplitScore, network: nn.Module, split: ResidentSplit, execution: Execution, logits: Tensor | None = None
) -> SplitScore:
    """A score with the accuracy of the mean logits of each image and its mirror image, see `evaluate.tta`.

    Args:
        logits: of the images themselves, where they are known.
    """
    own = predict(network, split, execution) if logits is None else logits
    mean = (own + predict(network, split, execution, mirrored=True)) / 2
    accuracy = float((mean.argmax(dim=1) == split.labels.cpu()).double().mean())
    return found.model_copy(update={"metrics": {**found.metrics, TTA_METRIC: accuracy}})


def images_per_pass(side: int, count: int) -> int:
    """Images of this size with about as many pixels as `count` of 32 × 32, at least one."""
    return max(1, count * IMAGE_SIDE**2 // max(side, IMAGE_SIDE) ** 2)


class Metric(Protocol):
    """A number of the user."""

    @property
    def name(self) -> str:
        """Name in the record."""

    def __call__(self, logits: Tensor, labels: Tensor) -> float | None:
        """The number, None where it is not finite."""


def score(logits: Tensor, labels: Tensor, num_classes: int, metrics: Sequence[Metric] = ()) -> SplitScore | None:
    """Accuracy and mean cross-entropy of `logits` (N, classes) for `labels` (N,). None if a logit is not finite.

    Args:
        metrics: further numbers, of the user.
    """
    if not bool(torch.isfinite(logits).all()):
        return None
    predicted = logits.argmax(dim=1)
    confusion = torch.bincount(labels * num_classes + predicted, minlength=num_classes**2).view(num_classes, -1)
    totals = confusion.sum(dim=1).clamp(min=1)
    return SplitScore(
        accuracy=float((predicted == labels).double().mean()),
        loss=float(F.cross_entropy(logits.double(), labels)),
        per_class=tuple((confusion.diagonal().double() / totals).tolist()),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        metrics={metric.name: metric(logits, labels) for metric in metrics},
    )


def score_all(logits: Tensor, labels: Tensor, num_classes: int) -> list[SplitScore | None]:
    """`score` of several networks at once, on the device of `logits` (K, N, classes). Reads the device once."""
    classes = torch.arange(num_classes, device=logits.device)
    true = (labels.unsqueeze(1) == classes).double()  # (N, classes)
    totals = true.sum(dim=0)
    numbers = []
    for some in torch.split(logits, SCORED_TOGETHER):
        finite = torch.isfinite(some).flatten(1).all(dim=1).double()
        predicted = (some.argmax(dim=2).unsqueeze(2) == classes).double()  # (K, N, classes)
        confusion = (true.T @ predicted).flatten(1)  # counts, so exact
        loss = -(some.double().log_softmax(dim=2) * true).sum(dim=2).mean(dim=1)
        numbers.append(torch.cat([finite.unsqueeze(1), loss.unsqueeze(1), confusion], dim=1))
    rows = torch.cat([torch.cat(numbers), totals.expand(len(logits), -1)], dim=1).tolist()
    return [_score_of(row, num_classes, len(labels)) for row in rows]


def _score_of(row: Sequence[float], classes: int, images: int) -> SplitScore | None:
    """Score from a row of numbers: whether all is finite, loss, confusion, and images per class."""
    finite, loss, *counts = row
    if not finite:
        return None
    confusion = [[int(count) for count in counts[start : start + classes]] for start in range(0, classes**2, classes)]
    right = [line[number] for number, line in enumerate(confusion)]
    totals = counts[classes**2 :]
    return SplitScore(
        accuracy=sum(right) / images,
        loss=loss,
        per_class=tuple(each / max(total, 1) for each, total in zip(right, totals, strict=True)),
        confusion=tuple(map(tuple, confusion)),
    )


def with_other(found: SplitScore | None, other: SplitScore | None, used: Ema) -> SplitScore | None:
    """The score with the accuracy of the weights that do not count, beside the metrics of the user."""
    if found is None:
        return None
    name = f"accuracy_{'last' if used.use == 'ema' else 'ema'}"
    accuracy = None if other is None else other.accuracy
    return found.model_copy(update={"metrics": {**found.metrics, name: accuracy}})
