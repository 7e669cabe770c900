"""The shipped files of fine-tuning: their arms, their tries, and what they begin from."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar_lab.analysis.factors import settings_that_differ
from cifar_lab.analysis.robust_questions import robust_plan
from cifar_lab.config import Settings
from cifar_lab.config.io.load import load_settings
from cifar_lab.config.io.sheet_files import load_sheet
from cifar_lab.config.sheets import LabSheet
from cifar_lab.studies.space.groups import by_group
from cifar_lab.studies.sweep import load_sweep

FOLDER = Path(__file__).parents[1] / "configs" / "fine_tuning"


@pytest.mark.parametrize(("name", "groups"), [("q10", 6), ("q12", 4)])
def test_each_way_has_the_same_number_of_tries(name: str, groups: int) -> None:
    sweep = load_sweep(FOLDER / f"{name}.yaml")
    found = by_group(sweep.expansion.points, sweep.search)
    assert [len(points) for points in found.values()] == [5] * groups
    rates = [sorted(point.settings.optimizer.lr for point in points) for points in found.values()]
    assert rates == [rates[0]] * groups
    assert {point.settings.epochs for points in found.values() for point in points} == {sweep.base.epochs}
    assert len(sweep.search.confirm_seeds) == 5
    assert set(sweep.search.seeds).isdisjoint(sweep.search.confirm_seeds)


def test_the_halves_of_the_classes_are_all_of_them() -> None:
    first, second = (load_settings(FOLDER / f"{name}.yaml") for name in ("pretrain", "all_layers"))
    assert set(first.data.classes).isdisjoint(second.data.classes)
    assert len({*first.data.classes, *second.data.classes}) == 10
    assert (first.model.name, first.data.normalize) == (second.model.name, second.data.normalize)


def test_the_lab_file_asks_all_questions_of_one_control() -> None:
    sheet = load_sheet(FOLDER / "lab.yaml", LabSheet)
    for name, question in sheet.questions.items():
        assert question.sweep == f"{name.partition('_')[0].replace('11', '10')}.yaml"
        assert (question.robust is None) == (name in ("q10", "q12"))
        assert question.robust is None or question.robust.equal_clean == 1
        assert robust_plan(name, question, FOLDER / "lab.yaml") is not None or question.robust is None
    bases = [load_sweep(FOLDER / f"{name}.yaml").base for name in ("q10", "q12")]
    assert all(isinstance(base, Settings) and base.label == "all layers" for base in bases)


def test_the_lab_of_equal_accuracy_asks_every_attack_of_the_same_arms() -> None:
    sheet = load_sheet(FOLDER / "equal_accuracy.yaml", LabSheet)
    asked = load_sheet(FOLDER / "lab.yaml", LabSheet)
    attacks = {each.robust.attack for each in asked.questions.values() if each.robust is not None}
    robust = [each for each in sheet.questions.values() if each.robust is not None]
    assert {each.robust.attack for each in robust if each.robust is not None} == attacks
    assert all(each.robust.equal_clean == sheet.min_effect for each in robust if each.robust is not None)
    assert len({each.arms for each in sheet.questions.values()}) == 1
    control = load_settings(FOLDER / sheet.control)
    for arm in robust[0].arms:
        settings = load_settings(FOLDER / arm)
        differing = settings_that_differ([each.model_dump(mode="json") for each in (control, settings)])
        changed = {key for key, _ in differing}
        assert changed <= {"model.weights", "model.freeze", "optimizer.lr", "epochs"}
        assert set(settings.seeds) == set(control.seeds)
        assert set(settings.seeds).isdisjoint(load_sweep(FOLDER / "q10.yaml").search.seeds)
