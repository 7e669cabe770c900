"""Runs with `--set` and runs in no question, beside a lab file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cifar_lab.analysis.folder_report import answer_folder
from cifar_lab.analysis.questions import answer_lab
from cifar_lab.config import Adam, Net1Model, Settings
from cifar_lab.store.records import Record

MakeRecord = Callable[..., Record]
SaveRecords = Callable[..., None]
Save = Callable[..., None]

BASE, ADAM = Settings(), Settings(optimizer=Adam(name="adam"))


@pytest.fixture
def sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "baseline.yaml").write_text("label: baseline\n")
    (tmp_path / "adam.yaml").write_text("extends: baseline.yaml\nlabel: Adam\noptimizer: {name: adam}\n")
    (tmp_path / "net1.yaml").write_text("extends: baseline.yaml\nlabel: Net1\nmodel: {name: Net1}\n")
    (tmp_path / "lab.yaml").write_text(
        "title: A lab\ncontrol: baseline.yaml\nquestions:\n"
        "  q3: {title: 'Adam?', arms: [adam.yaml], chart: q3.png}\n"
        "  q5: {title: 'Net1?', arms: [net1.yaml], chart: q5.png}\n"
    )
    monkeypatch.chdir(tmp_path)
    return Path("lab.yaml")


@pytest.fixture
def save(make_record: MakeRecord, save_records: SaveRecords) -> Save:
    """Save three seeds of each of these settings with other values on top."""

    def save(*arms: Settings, **changes: object) -> None:
        made = [arm.model_copy(update=changes) for arm in arms]
        save_records(Path("results"), *(make_record(0.5, seed, arm) for arm in made for seed in range(3)))

    return save


def test_runs_with_set_are_found(sheet: Path, save: Save) -> None:
    save(BASE, ADAM, epochs=2)
    lab = answer_folder(sheet, Path("results"))
    assert [answer.name for answer in lab.shown] == ["q3"]
    assert [answer.name for answer in lab.unanswered] == ["q5"]
    assert lab.command == "cifar-lab report --set epochs=2"
    assert lab.notices == ("The runs were made with --set epochs=2.",)
    assert lab.to_run == ("cifar-lab run net1.yaml --set epochs=2",)


def test_the_lab_as_it_is_written_comes_first_where_it_answers(sheet: Path, save: Save) -> None:
    save(BASE, ADAM)
    save(BASE, ADAM, epochs=2)
    lab = answer_folder(sheet, Path("results"))
    assert lab.command == "cifar-lab report"
    (notice,) = lab.notices
    assert notice.startswith("In no question are 6 runs of ")
    assert notice.endswith(" To compare them: cifar-lab report --set epochs=2")


def test_options_that_answer_come_before_arms_that_do_not(sheet: Path, save: Save) -> None:
    save(BASE)
    save(BASE, ADAM, epochs=2)
    assert answer_folder(sheet, Path("results")).command == "cifar-lab report --set epochs=2"


def test_an_arm_in_no_question_is_named_with_its_command(sheet: Path, save: Save) -> None:
    save(BASE, ADAM)
    save(Settings(label="mine", optimizer=Adam(name="adam", lr=0.02)))
    (notice,) = answer_folder(sheet, Path("results")).notices
    assert notice == "In no question are 3 runs of mine. To compare them: cifar-lab report --found"


def test_runs_that_fit_no_arm_are_compared_as_they_are_found(sheet: Path, save: Save) -> None:
    save(Settings(label="a", epochs=3), Settings(label="b", epochs=3, model=Net1Model(name="Net1"), seeds=(0,)))
    save(Settings(label="c", epochs=4, optimizer=Adam(name="adam", lr=0.3)))
    lab = answer_folder(sheet, Path("results"))
    assert lab.shown
    assert lab.is_found or lab.command == "cifar-lab report --set epochs=3"


def test_an_arm_far_from_the_lab_alone_gives_the_folder_s_own_report(sheet: Path, save: Save) -> None:
    save(Settings(label="a", epochs=3, optimizer=Adam(name="adam", lr=0.3)))
    lab = answer_folder(sheet, Path("results"))
    assert lab.is_found
    assert lab.notices[0] == "No run fits an arm of lab.yaml."


def test_overrides_that_are_given_are_kept(sheet: Path, save: Save) -> None:
    save(BASE, ADAM, epochs=2)
    lab = answer_folder(sheet, Path("results"), ["epochs=2"])
    assert lab.notices == ()
    assert [answer.name for answer in lab.shown] == ["q3"]


def test_the_question_that_was_answered_last_stands_first(
    sheet: Path, make_record: MakeRecord, save_records: SaveRecords
) -> None:
    net1 = Settings(model=Net1Model(name="Net1"))
    for hour, settings in ((10, BASE), (11, ADAM), (12, net1)):
        finished = f"2026-11-01T{hour}:00:00Z"
        save_records(Path("results"), *(make_record(0.5, seed, settings, finished=finished) for seed in range(3)))
    lab = answer_lab(sheet, Path("results"))
    assert [answer.name for answer in lab.shown] == ["q5", "q3"]
    assert [answer.name for answer in lab.answers] == ["q3", "q5"]
