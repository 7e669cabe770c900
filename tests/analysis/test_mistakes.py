"""An arm's own mistakes, from its saved predictions and the prepared images."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cifar_lab.analysis.breakdowns import ArmBreakdown
from cifar_lab.analysis.mistakes import MOST_SHOWN, cached_test_images, confident_mistakes, confusion_rates
from cifar_lab.config import Settings, Synthetic
from cifar_lab.data import cache
from cifar_lab.data.catalog import load_test, prepare
from cifar_lab.store.records import Record, SplitScore
from cifar_lab.store.results import RunFolder

from ..record_fixtures import with_predictions

MakeRecord = Callable[..., Record]
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1])


def save_predictions(results: Path, record: Record, logits: np.ndarray) -> Record:
    return with_predictions(results, record, LABELS, logits.astype(np.float32))


def logits_of(predicted: list[int], sure: list[float]) -> np.ndarray:
    """Logits whose largest belongs to the predicted class."""
    found = np.zeros((len(predicted), 3))
    found[np.arange(len(predicted)), predicted] = sure
    return found


def test_mistakes_are_those_of_all_runs_together_the_surest_first(tmp_path: Path, make_record: MakeRecord) -> None:
    runs = tuple(make_record(0.5, seed, classes=3) for seed in (0, 1))
    first = logits_of([1, 1, 2, 2, 1, 2, 0, 0], [5, 5, 5, 9, 5, 5, 5, 2])
    second = logits_of([1, 1, 2, 2, 1, 2, 1, 0], [5, 5, 5, 9, 5, 5, 1, 2])
    pairs = zip(runs, (first, second), strict=True)
    runs = tuple(save_predictions(tmp_path, run, logits) for run, logits in pairs)
    found = confident_mistakes(ArmBreakdown("an arm", 0, runs), tmp_path)
    # The image 6, right in one run with more confidence than it is wrong in the other, is no mistake.
    assert [(each.index, each.true, each.predicted) for each in found] == [(3, "0", "2"), (0, "0", "1"), (7, "1", "0")]
    assert found[0].confidence == pytest.approx(np.exp(9) / (np.exp(9) + 2))


def test_few_mistakes_are_shown(tmp_path: Path, make_record: MakeRecord) -> None:
    run = save_predictions(tmp_path, make_record(0.5, 0, classes=3), logits_of([2, 2, 0, 2, 2, 0, 2, 2], [3] * 8))
    assert len(confident_mistakes(ArmBreakdown("an arm", 0, (run,)), tmp_path)) == MOST_SHOWN


def test_runs_without_usable_predictions_have_none(tmp_path: Path, make_record: MakeRecord) -> None:
    missing, damaged = make_record(0.5, 0, classes=3), make_record(0.5, 1, classes=3)
    folder = RunFolder(tmp_path, damaged.run_id)
    folder.path.mkdir(parents=True)
    folder.predictions.write_bytes(b"PK\x03\x04 cut")
    assert confident_mistakes(ArmBreakdown("an arm", 0, (missing, damaged)), tmp_path) == []


def test_a_confusion_matrix_has_rates_of_each_true_class(make_record: MakeRecord) -> None:
    def run(seed: int, confusion: tuple[tuple[int, ...], ...]) -> Record:
        test = SplitScore(accuracy=0.5, loss=1.0, per_class=(0.5, 0.5), confusion=confusion)
        return make_record(0.5, seed, classes=2).model_copy(update={"test": test})

    arm = ArmBreakdown("an arm", 0, (run(0, ((8, 2), (5, 5))), run(1, ((6, 4), (5, 5)))))
    assert confusion_rates(arm) == [[70.0, 30.0], [50.0, 50.0]]
    assert confusion_rates(ArmBreakdown("none", 0, ())) is None
    other = make_record(0.5, 0)
    other = other.model_copy(update={"test": run(0, ((8, 2), (5, 5))).test})
    assert confusion_rates(ArmBreakdown("other", 0, (other,))) is None  # two classes of ten


def test_images_come_from_the_prepared_cache_only(
    tmp_path: Path, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(tmp_path))
    settings = Settings(data=Synthetic(dataset="synthetic", train_size=40, test_size=20))
    record = make_record(0.5, 0, settings)
    assert cached_test_images(record) is None
    assert list(tmp_path.iterdir()) == []  # nothing was prepared
    fingerprint = prepare(settings.data).fingerprint
    record = record.model_copy(update={"data": record.data.model_copy(update={"fingerprint": fingerprint})})
    found = cached_test_images(record)
    assert found is not None
    assert np.array_equal(found, load_test(settings.data).images)
    folder = next(tmp_path.glob("synthetic-*/meta.json")).parent
    (folder / "test_images.npy").write_bytes(b"damaged")
    assert cached_test_images(record) is None
    shutil.rmtree(folder)
    assert cached_test_images(record) is None
    assert cache.home() == tmp_path
