"""Comparisons of what a results folder has, without a lab file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cifar_lab.analysis.folder_report import answer_folder
from cifar_lab.analysis.found_arms import choose_control, found_arms
from cifar_lab.config import SGD, Adam, Cifar10, Net1Model, Settings, Synthetic
from cifar_lab.core.errors import SettingsError
from cifar_lab.store.records import Record

MakeRecord = Callable[..., Record]
SaveRecords = Callable[..., None]

BASE = Settings(label="base")
ADAM = Settings(label="Adam", optimizer=Adam(name="adam"))
NET1 = Settings(label="Net1", model=Net1Model(name="Net1"))
BOTH = Settings(label="both", optimizer=Adam(name="adam"), model=Net1Model(name="Net1"))


@pytest.fixture
def results(tmp_path: Path, make_record: MakeRecord, save_records: SaveRecords) -> Callable[..., Path]:
    """A results folder with three seeds of each of these settings, 0.5, 0.6, … by their order."""

    def make(*arms: Settings, seeds: tuple[int, ...] = (0, 1, 2)) -> Path:
        for number, settings in enumerate(arms, start=5):
            for seed in seeds:
                save_records(tmp_path, make_record(0.1 * number + 0.001 * seed, seed, settings))
        return tmp_path

    return make


def test_each_arm_with_one_factor_is_compared_and_the_rest_is_listed(results: Callable[..., Path]) -> None:
    lab = answer_folder(None, results(BASE, ADAM, NET1, BOTH))
    assert lab.is_found
    assert [(answer.name, [row.label for row in answer.rows]) for answer in lab.answers] == [
        ("model", ["base", "Net1"]),
        ("optimizer", ["base", "Adam"]),
        ("other", ["base", "both"]),
    ] or {answer.name for answer in lab.answers} == {"model", "optimizer", "other"}
    (other,) = [answer for answer in lab.answers if answer.name == "other"]
    assert other.comparisons == ()
    assert "no verdict" in other.notes[0]
    assert any("found in the folder, not asked beforehand" in notice for notice in lab.notices)


def test_holm_covers_all_comparisons_of_the_page(results: Callable[..., Path]) -> None:
    lab = answer_folder(None, results(BASE, ADAM, NET1, BOTH))
    assert lab.family == 2
    assert {each.family for answer in lab.answers for each in answer.comparisons} == {2}


@pytest.mark.parametrize(
    ("arms", "control"),
    [
        ([ADAM, BASE, NET1], "base"),
        ([BOTH, ADAM], "Adam"),  # a tie: the one with most defaults
        ([Settings(label="b", epochs=3), Settings(label="a", epochs=4)], "b"),  # a tie: the earliest
        (
            [BASE, ADAM, *(Settings(label=f"{lr}", optimizer=Adam(name="adam", lr=lr)) for lr in (0.01, 0.02))],
            "Adam",
        ),  # the others differ from Adam in one setting each
    ],
)
def test_the_control_is_the_arm_from_which_the_others_differ_least(
    arms: list[Settings], control: str, make_record: MakeRecord
) -> None:
    records = [
        make_record(0.5, seed, settings, started=f"2026-11-01T10:0{minute}:00Z")
        for minute, settings in enumerate(arms)
        for seed in (0, 1)
    ]
    assert choose_control(found_arms(records)).label == control


def test_arms_of_one_label_are_told_apart(results: Callable[..., Path]) -> None:
    lab = answer_folder(None, results(BASE, BASE.model_copy(update={"epochs": 2})))
    (answer,) = lab.answers
    assert [row.label for row in answer.rows] == ["base", "base (epochs=2)"]
    assert answer.name == "epochs"


def test_a_single_arm_is_shown_without_a_comparison(results: Callable[..., Path]) -> None:
    lab = answer_folder(None, results(BASE))
    assert [(answer.name, len(answer.rows), answer.comparisons) for answer in lab.shown] == [("other", 1, ())]
    assert not lab.has_answers
    assert lab.notices == ("There is one arm, so nothing can be compared yet.",)


def test_an_empty_folder_has_no_answers(tmp_path: Path) -> None:
    lab = answer_folder(None, tmp_path)
    assert (lab.data, lab.answers) == (None, ())


def test_confounders_are_notes_of_the_comparison(results: Callable[..., Path]) -> None:
    lab = answer_folder(None, results(BASE, ADAM))
    assert any("share the learning rate" in note for note in lab.answers[0].notes)


def test_numbers_of_two_data_sets_are_never_in_one_table(
    results: Callable[..., Path], make_record: MakeRecord, save_records: SaveRecords
) -> None:
    folder = results(BASE, ADAM)
    made_up = Settings(label="made up", data=Synthetic(dataset="synthetic"))
    save_records(folder, *(make_record(0.9, seed, made_up, data="synthetic") for seed in range(3)))
    lab = answer_folder(None, folder)
    assert lab.data is not None
    assert (lab.data.name, [each.name for each in lab.other_data]) == ("cifar10", ["synthetic"])
    other = answer_folder(None, folder, data_name="synthetic")
    assert [row.label for answer in other.answers for row in answer.rows] == ["made up"]


def test_overrides_select_the_runs(results: Callable[..., Path]) -> None:
    slow = BASE.model_copy(update={"epochs": 2, "label": "slow"})
    folder = results(BASE, ADAM, slow)
    lab = answer_folder(None, folder, ["epochs=2"])
    assert [row.label for answer in lab.answers for row in answer.rows] == ["slow"]
    adam = answer_folder(None, folder, ["optimizer.name=adam"])
    assert {row.label for answer in adam.answers for row in answer.rows} == {"Adam"}
    with pytest.raises(SettingsError, match="--set epochs=9: no run of this folder has this value"):
        answer_folder(None, folder, ["epochs=9"])


def test_an_older_record_with_an_unknown_setting_is_listed(
    results: Callable[..., Path], make_record: MakeRecord, save_records: SaveRecords
) -> None:
    folder = results(BASE, ADAM)
    record = make_record(0.4, 0, Settings(label="old", data=Cifar10(batch_size=7)))
    save_records(folder, record.model_copy(update={"settings": {**record.settings, "gone": 1}}))
    (other,) = [answer for answer in answer_folder(None, folder).answers if answer.name == "other"]
    assert other.rows[1].label == "old"


def test_a_different_lr_beside_the_optimizer_is_a_second_factor(results: Callable[..., Path]) -> None:
    tuned = Settings(label="tuned", optimizer=Adam(name="adam", lr=0.01))
    lab = answer_folder(None, results(BASE, NET1, Settings(label="fast", optimizer=SGD(lr=0.01)), tuned))
    assert "tuned differs from base in" in " ".join(lab.answers[-1].notes) or lab.answers[-1].name == "other"
