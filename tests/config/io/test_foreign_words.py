"""Words of W&B, Optuna and Hydra, each answered with the same in this lab."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cifar_lab.config.io.axis_words import axis_of_text
from cifar_lab.config.io.foreign_words import axis_of_parameter, key_of_parameter
from cifar_lab.config.io.load import settings_from
from cifar_lab.config.io.sheet_files import load_sheet
from cifar_lab.config.sheets import SweepSheet
from cifar_lab.core.errors import SettingsError

TEXTS = {
    "choice(0.1, 0.01)": "[0.1, 0.01]",
    "interval(1e-4,1e-1)": "{min: 1e-4, max: 1e-1}",
    "tag(log, interval(1e-4, 1e-1))": "{min: 1e-4, max: 1e-1, log: true}",
    "range(1, 8, 2)": "[1, 3, 5, 7]",
    "trial.suggest_float('lr', 1e-5, 1e-1, log=True)": "{min: 1e-5, max: 1e-1, log: true}",
    "suggest_int('n', low=1, high=9)": "{min: 1, max: 9}",
    'trial.suggest_categorical("optimizer", [sgd, adam])': "[sgd, adam]",
    "tune.loguniform(1e-4, 1e-1)": "{min: 1e-4, max: 1e-1, log: true}",
    "tune.grid_search([16, 32])": "[16, 32]",
    "sgd,adam": "[sgd, adam]",
    "adam": "",
    "a sentence, with a comma": "",
    "interval(a, b)": "",
    "unknown(1, 2)": "",
}

PARAMETERS: list[tuple[Any, str]] = [
    ({"value": 3}, "[3]"),
    ({"values": ["sgd", "adam"]}, "[sgd, adam]"),
    ({"min": 16, "max": 128}, "{min: 16, max: 128}"),
    ({"distribution": "log_uniform_values", "min": 1e-4, "max": 0.1}, "{min: 0.0001, max: 0.1, log: true}"),
    ({"distribution": "log_uniform", "min": 0, "max": 1}, "{min: 1, max: 2.718, log: true}"),
    ({"distribution": "normal", "mu": 0, "sigma": 1}, ""),
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_the_axis_that_it_means(text: str) -> None:
    assert axis_of_text(text) == TEXTS[text]


@pytest.mark.parametrize(("stated", "axis"), PARAMETERS)
def test_a_parameter_is_the_axis_that_it_means(stated: Any, axis: str) -> None:
    assert axis_of_parameter(stated) == axis


def test_names_of_parameters() -> None:
    names = ("learning_rate", "lr", "batch_size", "optimizer", "epochs", "optimizer.lr", "colour")
    found = ["optimizer.lr", "optimizer.lr", "data.batch_size", "optimizer.name", "epochs", "optimizer.lr", "colour"]
    assert list(map(key_of_parameter, names)) == found


def test_a_sweep_of_wandb_is_answered_key_by_key(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "program: train.py\nmethod: bayes\nmetric: {name: accuracy}\nrun_cap: 20\n"
        "parameters:\n  lr: {distribution: log_uniform_values, min: 0.001, max: 0.1}\n  optimizer: {values: [sgd]}\n"
        "hydra: {sweeper: {params: {optimizer.lr: 'interval(0.001, 0.1)'}}}\n"
    )
    with pytest.raises(SettingsError) as refused:
        load_sheet(path, SweepSheet)
    told = {problem.key: problem.message for problem in refused.value.problems}
    assert told["method"] == "no such setting; write search: {method: tpe, trials: 50}"
    assert told["run_cap"] == "no such setting; write search: {method: random, trials: 20}"
    assert told["hydra"] == "no such setting; write space: {optimizer.lr: {min: 0.001, max: 0.1}}"
    assert told["parameters"] == (
        "no such setting; write space: {optimizer.lr: {min: 0.001, max: 0.1, log: true}, optimizer.name: [sgd]}"
    )


def test_a_method_and_a_target_by_their_foreign_names(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    (tmp_path / "b.yaml").write_text("epochs: 1\n")
    path.write_text("base: b.yaml\nsearch: {method: bayes, trials: 3}\nspace: {epochs: [1]}\n")
    with pytest.raises(SettingsError, match="'bayes' is not one of: grid, random, tpe — did you mean tpe") as refused:
        load_sheet(path, SweepSheet)
    assert len(refused.value.problems) == 1
    with pytest.raises(SettingsError, match=r"Hydra's _target_ is name here; write optimizer\.name: adam"):
        settings_from({"optimizer": {"_target_": "torch.optim.Adam", "lr": 0.1}})
