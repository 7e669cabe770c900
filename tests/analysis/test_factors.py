from __future__ import annotations

from typing import Any

import pytest

from cifar_lab.analysis.factors import changes, factor_words, factors, unstated_factors
from cifar_lab.config import Settings
from cifar_lab.config.io.load import with_values

BASE = Settings()


def arm(values: dict[str, Any]) -> Settings:
    return with_values(BASE, values, where="test")


def varied(values: dict[str, Any]) -> list[str]:
    return list(factors(BASE, arm(values)))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, []),
        ({"data.batch_size": 128}, ["data.batch_size"]),
        ({"data.batch_size": 128, "data.flip": True}, ["data.batch_size", "data.flip"]),
        ({"optimizer.lr": 0.1}, ["optimizer.lr"]),
        ({"optimizer.name": "adam"}, ["optimizer"]),
        ({"optimizer.name": "adamw"}, ["optimizer"]),
        ({"optimizer.name": "adam", "optimizer.lr": 0.1}, ["optimizer.lr", "optimizer"]),
        ({"optimizer.name": "adam", "optimizer.weight_decay": 0.1}, ["optimizer.weight_decay", "optimizer"]),
        ({"scheduler.name": "one_cycle", "scheduler.max_lr": 0.1}, ["scheduler"]),
        ({"model.name": "ResNet18", "model.pretrained": True}, ["model"]),
        ({"loss.label_smoothing": 0.1, "epochs": 3}, ["loss.label_smoothing", "epochs"]),
        ({"runtime.precision": "bf16"}, ["runtime.precision"]),
    ],
)
def test_what_is_varied_is_told_from_the_resolved_settings(values: dict[str, Any], expected: list[str]) -> None:
    assert varied(values) == expected


@pytest.mark.parametrize(
    "values",
    [{"label": "x"}, {"seeds": [7]}, {"runtime.device": "cpu"}, {"runtime.threads": 2}, {"data.split_seed": 5}],
)
def test_what_changes_no_number_is_no_difference(values: dict[str, Any]) -> None:
    assert changes(BASE, arm(values)) == []


def test_the_split_s_seed_counts_where_a_split_is_cut() -> None:
    with_split = with_values(BASE, {"data.val_size": 5000}, where="test")
    other = with_values(with_split, {"data.split_seed": 5}, where="test")
    assert [change.key for change in changes(with_split, other)] == ["data.split_seed"]


def test_a_factor_is_told_by_its_name_and_by_what_is_set_beside_it() -> None:
    adam = arm({"optimizer.name": "adam", "optimizer.betas": [0.8, 0.99]})
    assert (
        factor_words(factors(BASE, adam)["optimizer"], adam)
        == "optimizer.name sgd → adam, optimizer.betas — → [0.8, 0.99]"
    )
    plain = arm({"optimizer.name": "adam"})
    assert factor_words(factors(BASE, plain)["optimizer"], plain) == "optimizer.name sgd → adam"


def test_stated_factors_are_keys_or_the_sections_that_hold_them() -> None:
    found = ["optimizer", "optimizer.lr", "data.flip"]
    assert unstated_factors(found, ["optimizer"]) == ["data.flip"]
    assert unstated_factors(found, ["optimizer.lr", "data"]) == ["optimizer"]
