"""`cifar-lab init` and the files that ship with cifar-lab."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cifar_lab.cli.new_lab import KEYWORDS, one_question, understood
from cifar_lab.config.io.load import load_settings
from cifar_lab.config.io.sheet_files import load_sheet, sheet_file
from cifar_lab.config.io.shipped import shipped_folder
from cifar_lab.config.sheets import LabSheet

NOTE = (
    "cifar-lab: configs/{} is not in this folder; "
    "files that ship with cifar-lab replace what is missing under configs/\n"
)


def test_the_nine_questions_are_written_and_checked(lab: Any) -> None:
    done = lab("init", "nine")
    assert (done.code, done.err) == (0, "")
    assert done.lines[-1] == "next: cifar-lab run --question q1 --lab nine/lab.yaml"
    checked = lab("check", "nine/lab.yaml", "nine/q8_grid.yaml")
    assert (checked.code, checked.err) == (0, "")
    assert "9 questions" in checked.out


@pytest.mark.slow
@pytest.mark.parametrize("model", [(), ("--model",)])
def test_a_new_question_runs_at_once(lab: Any, model: tuple[str, ...]) -> None:
    done = lab("init", "--question", "Adam or SGD?", "--data", "synthetic", *model)
    assert (done.code, done.err) == (0, "")
    assert done.lines[-1] == "next: cifar-lab run --question q1"
    sgd, adam = (load_settings(lab.folder / name) for name in ("sgd.yaml", "adam.yaml"))
    assert (sgd.optimizer.name, adam.optimizer.name) == ("sgd", "adam")
    assert sgd.data.val_size == adam.data.val_size == 500
    assert sgd.model.name.endswith("model.py:SmallNet" if model else "Net")
    small = ("--set", "data.train_size=400", "--set", "data.val_size=100", "--set", "epochs=1")
    run = lab("run", "--question", "q1", *small)
    assert run.code == 0, run.err
    report = lab("report")
    assert any(line.startswith("  ") and "Adam" in line and "SGD" in line for line in report.lines)


def test_no_file_is_overwritten(lab: Any) -> None:
    lab.write("mine/sgd.yaml", "label: mine\n")
    before = lab.listing()
    done = lab("init", "mine", "--question", "Adam or SGD?")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("cifar-lab: mine/sgd.yaml: already exists, and init never overwrites a file; ")
    assert lab.listing() == before


def test_the_same_command_again_changes_nothing(lab: Any) -> None:
    first = lab("init", "mine", "--question", "flip?")
    before = lab.listing()
    again = lab("init", "mine", "--question", "flip?")
    assert (again.code, again.lines[-1]) == (0, first.lines[-1])
    assert lab.listing() == before


@pytest.mark.parametrize(
    "words",
    [
        ("--question", " "),
        ("--question", "x" * 400),
        ("--data", "nowhere"),
        ("--model",),
    ],
)
def test_a_wrong_option_writes_nothing(lab: Any, words: tuple[str, ...]) -> None:
    before = lab.listing()
    done = lab("init", "new", *words)
    assert (done.code, done.out) == (2, "")
    assert lab.listing() == before


@pytest.mark.parametrize(
    ("title", "labels"),
    [
        ("Adam or SGD?", ["SGD", "Adam"]),
        ("SGD, Adam or AdamW?", ["SGD", "Adam", "AdamW"]),
        ("Is ResNet18 worth it?", ["Net", "ResNet18"]),
        ("Is cosine better than one-cycle?", ["one-cycle", "cosine"]),
        ("Does mirroring help?", ["no flip", "flip"]),
        ('A "quoted": question?', ["lr 0.001", "lr 0.003"]),
    ],
)
def test_a_question_names_its_arms(title: str, labels: list[str]) -> None:
    found = understood(title)
    assert [arm.label for arm in (found.control, *found.arms)] == labels


@pytest.mark.parametrize("word", [pattern.partition("|")[0].replace(".?", " ") for pattern, *_ in KEYWORDS])
@pytest.mark.parametrize("with_model", [False, True])
def test_every_question_that_is_understood_is_a_lab_with_one_factor(
    word: str, with_model: bool, tmp_path: Path
) -> None:
    from cifar_lab.analysis.factors import factors

    for name, text in one_question(f"Does {word} help?", "synthetic", with_model=with_model).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    path = tmp_path / "lab.yaml"
    sheet = load_sheet(path, LabSheet)
    (question,) = sheet.questions.values()
    control, arm = (load_settings(sheet_file(path, name)) for name in (sheet.control, *question.arms))
    assert list(factors(control, arm)) == list(question.factor)


def test_a_missing_file_below_configs_is_the_shipped_one(lab: Any) -> None:
    folder = shipped_folder()
    assert folder is not None
    done = lab("check", "configs/q3_adam.yaml", "configs/lab.yaml", "configs/q8_grid.yaml")
    assert (done.code, done.err) == (0, NOTE.format("q3_adam.yaml"))
    lab.write("mine.yaml", "extends: configs/q3_adam.yaml\noptimizer: {lr: 0.003}\n")
    lab.write("deep/mine.yaml", "extends: configs/q3_adam.yaml\n")
    done = lab("check", "mine.yaml", "deep/mine.yaml")
    assert (done.code, done.lines[0]) == (0, "# mine.yaml: valid; resolved settings:")


def test_a_file_of_the_folder_wins(lab: Any) -> None:
    lab.write("configs/baseline.yaml", "label: here\nepochs: 3\n")
    done = lab("check", "configs/baseline.yaml")
    assert (done.code, done.err) == (0, "")
    assert "epochs: 3" in done.lines
    assert "epochs: 3" in lab("check", "configs/q3_adam.yaml").lines  # it extends baseline.yaml


@pytest.mark.parametrize("name", ["configs/none.yaml", "other/baseline.yaml", "configs/../secret.yaml"])
def test_other_missing_files_stay_missing(lab: Any, name: str) -> None:
    done = lab("check", name)
    assert done.code == 2
    assert f"no file {name}" in done.err
