"""Mistakes of an arm: its confusion matrix, and the test images that it gets wrong with the most confidence.

Both read what the runs saved. The test split is evaluated once, at the end of a run, and never here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from cifar_lab.analysis.breakdowns import ArmBreakdown
from cifar_lab.analysis.predictions import read_predictions
from cifar_lab.config import Settings
from cifar_lab.core.errors import DataError, LabError
from cifar_lab.data import cache
from cifar_lab.data.arrays import Damaged
from cifar_lab.data.catalog import folder_name
from cifar_lab.store.left_out import leave_out
from cifar_lab.store.records import Record

MOST_SHOWN = 6
"""Mistakes per arm."""
MOST_RUNS = 10
"""Runs of an arm whose predictions are read."""


def confusion_rates(arm: ArmBreakdown) -> list[list[float]] | None:
    """Mean confusion matrix of the arm's runs, of 100 images of each true class. None where a run has none."""
    tests = [run.test for run in arm.runs if run.test is not None]
    classes = len(arm.runs[0].data.classes) if arm.runs else 0
    if not tests or any(len(test.confusion) != classes for test in tests):
        return None
    total = np.mean([np.asarray(test.confusion, float) for test in tests], axis=0)
    rates: list[list[float]] = (100 * total / np.maximum(total.sum(axis=1, keepdims=True), 1)).tolist()
    return rates


@dataclass(frozen=True)
class Mistake:
    """Test image that an arm classifies wrong."""

    index: int
    """Place in the test split."""
    true: str
    predicted: str
    confidence: float
    """Probability of the predicted class, mean over the runs, 0 to 1."""


def confident_mistakes(arm: ArmBreakdown, results: Path) -> list[Mistake]:
    """The most confident mistakes of the arm's runs together, the most confident first.

    Probabilities are means over the runs. Runs without usable predictions are left out.
    """
    saved = [found for run in arm.runs[:MOST_RUNS] if (found := _predictions(results, run))]
    if not saved:
        return []
    labels = saved[0][0]
    probabilities = np.mean([each for truth, each in saved if np.array_equal(truth, labels)], axis=0)
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")[:MOST_SHOWN]]
    names = arm.runs[0].data.classes
    return [Mistake(int(i), names[labels[i]], names[predicted[i]], float(confidence[i])) for i in worst]


def _predictions(results: Path, record: Record) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """(labels, probabilities) of the test split. None where they are missing or damaged, which is named."""
    if record.test is None or not record.files:
        return None
    try:
        labels, logits = read_predictions(results, record)
    except DataError as fault:
        leave_out(fault)
        return None
    powers = np.exp(logits.astype(float) - logits.max(axis=1, keepdims=True))
    return labels, powers / powers.sum(axis=1, keepdims=True)


def cached_test_images(record: Record) -> NDArray[np.uint8] | None:
    """Test images of a record from the prepared cache, uint8 (N, 3, 32, 32). None where it does not hold them.

    Nothing is prepared or downloaded for this.
    """
    try:
        folder = cache.home() / folder_name(Settings.model_validate(record.settings).data)
        meta = cache.read_meta(folder)
        if meta is None or meta.info.fingerprint != record.data.fingerprint:
            return None
        return cache.read_split(folder, meta, "test").images
    except (Damaged, LabError, ValidationError):
        return None
