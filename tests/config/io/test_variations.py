"""Variations of one base are what `with_values` makes of it, one after the other: settings, what they state, errors."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from cifar_lab.config import Cifar10, OneCycle, Plateau, Settings
from cifar_lab.config.io.load import Variations, settings_from, with_values
from cifar_lab.config.run_id import recipe, run_id
from cifar_lab.core.errors import SettingsError

BASES = (
    settings_from({}),
    settings_from({"label": "b", "optimizer": {"name": "adamw", "lr": 0.5, "betas": [0.5, 0.75]}, "epochs": 3}),
    settings_from({"data": {"dataset": "imagefolder", "root": "x", "val_size": 50}, "scheduler": {"name": "cosine"}}),
    settings_from({"model": {"name": "package.module:Class", "options": {"width": 8, "parts": [1, {"a": 2}]}}}),
    Settings(scheduler=Plateau(name="plateau", monitor="val_loss"), data=Cifar10()),  # a contradiction, as it stands
    Settings(scheduler=OneCycle(name="one_cycle", max_lr=0.1)),
)

AXES: dict[str, list[Any]] = {
    "optimizer.name": ["sgd", "adam"],
    "optimizer.lr": [0.01, 1, 1.0, True, "0.01", -0.0],
    "scheduler.name": ["none", "plateau"],
    "data.val_size": [0, 100],
    "epochs": [2, 2.0],
}

OTHERS: list[dict[str, Any]] = [
    {},
    {"label": "x", "seeds": (3, 4)},
    {"model.options.width": 16, "model.options.more": {"deep": [True, 1.0]}},
    {"model.options": {"width": 1}, "model.options.width": 2},
    {"model.name": "other.py:Class"},
    {"optimizer.betas": [0.9, 0.1], "optimizer.name": "adam"},
    {"optimizer.rl": 1, "sceduler.name": "none"},
    {"optimizer": {"name": "adam", "lr": 0.1}},
    {"data.root": "somewhere"},
    {"optimizer.momentum": 0.0},
    {"optimizer.momentum": -0.0},
    {"data.dataset": "synthetic", "data.train_size": 100, "data.batch_size": 200},
    {"epochs": object()},
]


def outcome(make: Any, values: Mapping[str, Any]) -> object:
    """Everything that settings hold, what they state and what their runs are called; or what a person reads."""
    try:
        settings = make(values)
    except SettingsError as error:
        return str(error)
    named = settings.model_copy(update={"model": Settings().model}) if ":" in settings.model.name else settings
    return (
        settings.model_dump_json(),
        settings.model_dump_json(exclude_unset=True),
        run_id(recipe(named), "0" * 64, 0),
    )


@pytest.mark.parametrize("base", BASES)
def test_they_are_what_with_values_makes(base: Settings) -> None:
    variations = Variations(base, where="sweep.yaml")
    points = [dict(zip(AXES, values, strict=True)) for values in itertools.product(*AXES.values())]
    different = set()
    for values in [*OTHERS, *points, *OTHERS, *points[:20]]:
        expected = outcome(lambda changes: with_values(base, changes, where="sweep.yaml"), values)
        assert outcome(variations.settings, values) == expected
        different.add(expected)
    assert len(different) > 10


def test_equal_sections_are_one_object() -> None:
    variations = Variations(Settings(), where="")
    one, other = (variations.settings({"optimizer.lr": lr, "data.flip": True}) for lr in (0.1, 0.2))
    assert one.data is other.data
    assert one.model is other.model
    assert one.optimizer is not other.optimizer
