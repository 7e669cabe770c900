from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cifar_lab.analysis.comparison_targets import find_target, same_images
from cifar_lab.config import Adam, Settings
from cifar_lab.core.errors import SettingsError
from cifar_lab.store.records import Record

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
    by_label = find_target("Adam", tmp_path, records)
    by_file = find_target(str(tmp_path / "adam.yaml"), tmp_path, records)
    assert [record.seed for record in by_label.records] == [0, 1, 2, 0]
    assert (by_label.kind, by_file.kind, by_file.label) == ("arm", "arm", "any")
    assert by_file.records == by_label.records
    run = find_target(records[0].run_id[:9], tmp_path, records)
    assert (run.kind, run.label, run.records) == ("run", "baseline, seed 0", (records[0],))


def test_sides_are_taken_on_images_that_both_have(tmp_path: Path, records: list[Record]) -> None:
    first, second = same_images(find_target("Adam", tmp_path, records), find_target("baseline", tmp_path, records))
    assert [record.seed for record in first.records] == [0, 1, 2]
    assert len(second.records) == 2
    with pytest.raises(SettingsError, match="were trained on different images"):
        same_images(find_target(records[-1].run_id, tmp_path, records), second)


def test_names_that_mean_nothing_or_too_much_are_refused(tmp_path: Path, records: list[Record]) -> None:
    with pytest.raises(SettingsError, match=r"no settings file, label or sweep of .* has this name"):
        find_target("nothing", tmp_path, records)
    extended = [record.model_copy(update={"label": "Adam (epochs=2)"}) for record in records]
    for name in ("Adam (ep", "Adam (epochs=3)"):
        with pytest.raises(
            SettingsError, match=r"has this name; did you mean 'Adam \(epochs=2\)'\? Or list all runs: "
        ):
            find_target(name, tmp_path, extended)
    with pytest.raises(SettingsError, match="'twice': 2 arms have this label; give a settings file or a run's id: "):
        find_target("twice", tmp_path, records)
    with pytest.raises(SettingsError, match="run ids start with"):
        find_target("ab", tmp_path, [r.model_copy(update={"run_id": "ab" + r.run_id}) for r in records])
    (tmp_path / "lab.yaml").write_text("title: x\nquestions: {}\n")
    with pytest.raises(SettingsError, match="a lab file is not an arm"):
        find_target(str(tmp_path / "lab.yaml"), tmp_path, records)
    (tmp_path / "new.yaml").write_text("epochs: 99\n")
    with pytest.raises(SettingsError, match=r"no finished runs in .*; train them first: cifar-lab run "):
        find_target(str(tmp_path / "new.yaml"), tmp_path, records)
    (tmp_path / "grid.yaml").write_text("base: new.yaml\nspace: {}\n")
    with pytest.raises(SettingsError, match="no finished runs"):
        find_target(str(tmp_path / "grid.yaml"), tmp_path, records)
