from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cifar_lab.analysis.comparison_targets import find_side, same_images
from cifar_lab.analysis.mcnemar import compare_predictions, words
from cifar_lab.analysis.stats.chance import mcnemar
from cifar_lab.config import Adam, Settings
from cifar_lab.core.errors import DataError, SettingsError
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder

MakeRecord = Callable[..., Record]

ADAM = Settings(label="Adam", optimizer=Adam(name="adam"))


@pytest.fixture
def records(make_record: MakeRecord) -> list[Record]:
    return [
        *(make_record(0.5, seed, label="baseline") for seed in range(2)),
        *(make_record(0.6, seed, ADAM) for seed in range(3)),
        make_record(0.6, 9, ADAM, test=None, test_reason="search"),
        make_record(0.7, 0, Settings(epochs=3), label="twice"),
        make_record(0.8, 0, Settings(epochs=4), label="twice"),
        make_record(0.9, 0, ADAM, data="synthetic"),
    ]


def test_a_label_a_file_and_the_beginning_of_an_id(tmp_path: Path, records: list[Record]) -> None:
    (tmp_path / "adam.yaml").write_text("optimizer: {name: adam}\nlabel: any\n")
    by_label = find_side("Adam", tmp_path, records)
    by_file = find_side(str(tmp_path / "adam.yaml"), tmp_path, records)
    assert [record.seed for record in by_label.records] == [0, 1, 2, 0]
    assert (by_label.kind, by_file.kind, by_file.label) == ("arm", "arm", "any")
    assert by_file.records == by_label.records
    run = find_side(records[0].run_id[:9], tmp_path, records)
    assert (run.kind, run.label, run.records) == ("run", "baseline, seed 0", (records[0],))


def test_sides_are_taken_on_images_that_both_have(tmp_path: Path, records: list[Record]) -> None:
    first, second = same_images(find_side("Adam", tmp_path, records), find_side("baseline", tmp_path, records))
    assert [record.seed for record in first.records] == [0, 1, 2]
    assert len(second.records) == 2
    with pytest.raises(SettingsError, match="were trained on different images"):
        same_images(find_side(records[-1].run_id, tmp_path, records), second)


def test_names_that_mean_nothing_or_too_much_are_refused(tmp_path: Path, records: list[Record]) -> None:
    with pytest.raises(SettingsError, match=r"no settings file, arm, sweep or run of .* is called so"):
        find_side("nothing", tmp_path, records)
    with pytest.raises(SettingsError, match="'twice': 2 arms have this label; give a settings file or a run's id: "):
        find_side("twice", tmp_path, records)
    with pytest.raises(SettingsError, match="runs begin like this"):
        find_side("ab", tmp_path, [r.model_copy(update={"run_id": "ab" + r.run_id}) for r in records])
    (tmp_path / "lab.yaml").write_text("title: x\nquestions: {}\n")
    with pytest.raises(SettingsError, match="a sheet of questions is no arm"):
        find_side(str(tmp_path / "lab.yaml"), tmp_path, records)
    (tmp_path / "new.yaml").write_text("epochs: 99\n")
    with pytest.raises(SettingsError, match=r"no finished runs in .*; train them first: cifar-lab run "):
        find_side(str(tmp_path / "new.yaml"), tmp_path, records)
    (tmp_path / "grid.yaml").write_text("base: new.yaml\nspace: {}\n")
    with pytest.raises(SettingsError, match="no finished runs"):
        find_side(str(tmp_path / "grid.yaml"), tmp_path, records)


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
    told = words(mcnemar(5_000, 1_500, 1_200, 2_300), "A, seed 0", "B, seed 0")
    assert told.startswith(
        "These two trained models differ: A, seed 0 is 3.00 pp above B, seed 0; of 2,700 images that one alone has "
        "right, it has 1,500 (exact McNemar p < .001). This is about these two models, not about the two recipes"
    )
    assert words(mcnemar(5, 2, 2, 1), "A", "B").startswith(
        "These two trained models are not shown to differ: A is level with B"
    )
    assert words(mcnemar(5, 0, 0, 1), "A", "B") == "A and B classify the same 6 images right and wrong."
