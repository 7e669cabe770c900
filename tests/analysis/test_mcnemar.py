from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar as reference

from cifar_lab.analysis.mcnemar import compare_predictions, mcnemar, mcnemar_sentence
from cifar_lab.core.errors import DataError
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder

from ..record_fixtures import record


@pytest.mark.parametrize("table", [(50, 3, 9, 38), (0, 5, 5, 0), (6000, 1221, 1194, 1585), (1, 0, 1, 0), (10, 0, 8, 2)])
def test_mcnemar_is_statsmodels_own(table: tuple[int, int, int, int]) -> None:
    both, first, second, neither = table
    expected = reference([[both, first], [second, neither]], exact=True).pvalue
    found = mcnemar(*table)
    assert found.p == pytest.approx(expected, abs=1e-10)
    assert found.images == sum(table)
    assert found.difference_pp == pytest.approx(100 * (first - second) / sum(table))


def test_mcnemar_by_hand() -> None:
    """One of four: 2 · (1 + 4) / 16."""
    assert mcnemar(10, 1, 3, 0).p == pytest.approx(0.625)


def test_models_that_never_differ() -> None:
    assert mcnemar(7, 0, 0, 3).p == 1
    with pytest.raises(ValueError, match="no image"):
        mcnemar(0, 0, 0, 0)


def save(results: Path, seed: int, labels: list[int], predicted: list[int]) -> Record:
    """The record of a run with these predictions."""
    buffer = io.BytesIO()
    np.savez(buffer, labels=np.array(labels), logits=np.eye(3, dtype=np.float32)[predicted])
    right = float(np.mean(np.array(labels) == predicted))
    made = record(right, seed, classes=3, files={"predictions.npz": hashlib.sha256(buffer.getvalue()).hexdigest()})
    made = made.model_copy(update={"data": made.data.model_copy(update={"test_size": len(labels)})})
    folder = RunFolder(results, made.run_id)
    folder.path.mkdir(parents=True)
    folder.predictions.write_bytes(buffer.getvalue())
    return made


def test_two_runs_are_compared_image_by_image(tmp_path: Path) -> None:
    first = save(tmp_path, 0, [0, 1, 2, 0, 1], [0, 1, 2, 0, 0])
    second = save(tmp_path, 1, [0, 1, 2, 0, 1], [0, 2, 1, 1, 0])
    found = compare_predictions(tmp_path, first, second)
    assert (found.both, found.only_first, found.only_second, found.neither, found.p) == (1, 3, 0, 1, 0.25)


def test_predictions_of_other_images_are_not_compared(tmp_path: Path) -> None:
    first, other = save(tmp_path, 0, [0, 1], [0, 1]), save(tmp_path, 1, [1, 1], [0, 1])
    with pytest.raises(DataError, match="have different test images"):
        compare_predictions(tmp_path, first, other)


def test_only_the_predictions_that_the_record_names_are_used(tmp_path: Path) -> None:
    first, other = save(tmp_path, 0, [0, 1, 2], [0, 1, 1]), save(tmp_path, 1, [0, 1, 2], [0, 2, 1])
    ours, theirs = (RunFolder(tmp_path, each.run_id).predictions for each in (first, other))
    good = theirs.read_bytes()
    for content in (b"", b"PK no zip", good[:-1], good + b"x", ours.read_bytes()):
        theirs.write_bytes(content)
        with pytest.raises(DataError, match=r"predictions\.npz: is damaged .*; to retrain the run: cifar-lab run "):
            compare_predictions(tmp_path, first, other)
    theirs.unlink()
    with pytest.raises(DataError, match=r"predictions\.npz: cannot be read \(No such file"):
        compare_predictions(tmp_path, first, other)


@pytest.mark.parametrize("logits", ["not finite", "of another accuracy", "flat", "text"])
def test_predictions_that_do_not_give_the_record_s_accuracy_are_damaged(tmp_path: Path, logits: str) -> None:
    """A record that was sealed again over such a file."""
    first = save(tmp_path, 0, [0, 1, 2], [0, 1, 2])
    folder = RunFolder(tmp_path, first.run_id)
    values = {
        "not finite": np.full((3, 3), np.nan), "of another accuracy": np.eye(3)[[0, 0, 0]], "flat": np.zeros(3),
        "text": np.array(["a", "b", "c"]),
    }  # fmt: skip
    np.savez(folder.predictions, labels=np.array([0, 1, 2]), logits=values[logits])
    digest = hashlib.sha256(folder.predictions.read_bytes()).hexdigest()
    forged = first.model_copy(update={"files": {"predictions.npz": digest}})
    with pytest.raises(DataError, match=r"is damaged \(it does not give the record's accuracy\)"):
        compare_predictions(tmp_path, forged, forged)


def test_the_words_claim_nothing_of_the_recipes() -> None:
    told = mcnemar_sentence(mcnemar(5_000, 1_500, 1_200, 2_300), "A, seed 0", "B, seed 0")
    assert told.startswith(
        "These two trained models differ: A, seed 0 is 3.00 pp above B, seed 0; of 2,700 images that only one "
        "of them classifies correctly, it has 1,500 (exact McNemar p < .001). This is about these two models, not "
        "about their settings"
    )
    assert mcnemar_sentence(mcnemar(5, 2, 2, 1), "A", "B").startswith(
        "These two trained models do not differ significantly: A is level with B"
    )
    assert mcnemar_sentence(mcnemar(5, 0, 0, 1), "A", "B") == "Of 6 images, A and B classify the same ones correctly."
