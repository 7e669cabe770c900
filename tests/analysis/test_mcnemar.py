from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar as reference

from cifar_lab.analysis.mcnemar import compare_predictions, mcnemar, mcnemar_sentence
from cifar_lab.core.errors import DataError
from cifar_lab.store.results import RunFolder


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


def save(folder: RunFolder, labels: list[int], predicted: list[int]) -> RunFolder:
    folder.path.mkdir(parents=True)
    np.savez(folder.predictions, labels=np.array(labels), logits=np.eye(3, dtype=np.float32)[predicted])
    return folder


def test_two_runs_are_compared_image_by_image(tmp_path: Path) -> None:
    first = save(RunFolder(tmp_path, "a"), [0, 1, 2, 0, 1], [0, 1, 2, 0, 0])
    second = save(RunFolder(tmp_path, "b"), [0, 1, 2, 0, 1], [0, 2, 1, 1, 0])
    found = compare_predictions(first, second)
    assert (found.both, found.only_first, found.only_second, found.neither, found.p) == (1, 3, 0, 1, 0.25)


def test_predictions_that_are_gone_damaged_or_of_other_images(tmp_path: Path) -> None:
    first = save(RunFolder(tmp_path, "a"), [0, 1], [0, 1])
    other = save(RunFolder(tmp_path, "b"), [1, 1], [0, 1])
    with pytest.raises(DataError, match="of different test images"):
        compare_predictions(first, other)
    other.predictions.write_bytes(b"PK no zip")
    with pytest.raises(DataError, match=r"predictions\.npz: is damaged; make the run again with --force"):
        compare_predictions(first, other)
    other.predictions.unlink()
    with pytest.raises(DataError, match=r"predictions\.npz: not there"):
        compare_predictions(first, other)


def test_the_words_claim_nothing_of_the_recipes() -> None:
    told = mcnemar_sentence(mcnemar(5_000, 1_500, 1_200, 2_300), "A, seed 0", "B, seed 0")
    assert told.startswith(
        "These two trained models differ: A, seed 0 is 3.00 pp above B, seed 0; of 2,700 images that one alone has "
        "right, it has 1,500 (exact McNemar p < .001). This is about these two models, not about the two recipes"
    )
    assert mcnemar_sentence(mcnemar(5, 2, 2, 1), "A", "B").startswith(
        "These two trained models are not shown to differ: A is level with B"
    )
    assert mcnemar_sentence(mcnemar(5, 0, 0, 1), "A", "B") == "A and B classify the same 6 images right and wrong."
