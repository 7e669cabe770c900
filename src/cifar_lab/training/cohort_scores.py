"""Parts of the training of a cohort, and the scores of its members on the validation split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from cifar_lab.data.resident_split import ResidentSplit
from cifar_lab.store.records import Environment, SplitScore
from cifar_lab.training.backends.base import Predictor, StepBackend
from cifar_lab.training.build import Splits
from cifar_lab.training.callbacks import ActiveRun
from cifar_lab.training.cohort import Cohort
from cifar_lab.training.device import Execution
from cifar_lab.training.evaluate import predict, predict_stacked, score, score_all, with_other
from cifar_lab.training.features import CachedTrunk
from cifar_lab.training.own_functions import OwnMetric


@dataclass(frozen=True)
class CohortTraining:
    """Everything that a cohort trains with."""

    execution: Execution
    memory_format: torch.memory_format
    """Of images and weights for torch's kernels."""
    splits: Splits
    cohort: Cohort
    backend: StepBackend
    environment: Environment
    metrics: Sequence[OwnMetric]
    """Of the user, on the validation split."""
    trunk: CachedTrunk
    """Frozen layers that are computed once."""
    before: Sequence[Environment | None]
    """Environment of the epochs of each run's checkpoint."""

    def weights(self, members: Iterable[int], *, other: bool = False) -> AbstractContextManager[None]:
        """Context in which members have the weights that count, by `average.use`. `other` means those that do not."""
        average = self.cohort.average
        if average is None:
            return nullcontext()
        averaged = set(average.used(average=not other)) & set(members)
        return average.evaluated(averaged, self.splits.training, self.execution)


def validate(training: CohortTraining, *, other: bool = False) -> list[SplitScore | None]:
    """Score every member on the validation split.

    Args:
        other: score the weights that do not count by `average.use`, in place of those that do.
    """
    validation, cohort = training.splits.validation, training.cohort
    assert validation is not None
    with training.weights(range(len(cohort.networks)), other=other):
        return _scores(training, validation)


def _scores(training: CohortTraining, validation: ResidentSplit) -> list[SplitScore | None]:
    """Score the present weights of every member."""
    cohort, classes = training.cohort, len(training.splits.identity.classes)
    found: Iterable[Tensor]  # (N, classes) of each member
    if training.trunk.validation is not None:
        found = (training.trunk.predict(number, training.execution) for number in range(len(cohort.networks)))
    elif isinstance(training.backend, Predictor) and (resident := training.backend.predict(validation)) is not None:
        if not training.metrics:
            return score_all(resident, validation.labels, classes)
        found = resident.cpu()
    elif cohort.stacked is not None:
        found = predict_stacked(cohort.stacked, len(cohort.networks), validation, training.execution)
    else:
        found = (predict(network, validation, training.execution) for network in cohort.networks)
    labels = validation.labels.cpu()
    return [score(logits, labels, classes, training.metrics) for logits in found]


def score_others(runs: Sequence[ActiveRun], training: CohortTraining) -> None:
    """Add the accuracy of the weights that do not count to the validation scores of complete runs."""
    average = training.cohort.average
    if average is None or training.splits.validation is None:
        return
    for run, used, other in zip(runs, average.settings, validate(training, other=True), strict=True):
        run.member.val = with_other(run.member.val, other, used)
