"""Equal spellings of the values of settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cifar_lab.config.io.same_value import normal_value, same_value
from cifar_lab.config.roles import value_at

from ..every_field import FieldCase, every_field


@pytest.mark.parametrize("case", every_field(), ids=str)
def test_a_value_of_a_file_is_the_value_that_the_settings_keep(case: FieldCase, tmp_path: Path) -> None:
    one, other = case.pair(tmp_path)
    kept = [value_at(settings, case.key) for settings in (one, other)]
    written = [
        (section if not case.section else section[case.section])[case.name]
        for section in (settings.model_dump(mode="json") for settings in (one, other))
    ]
    for number in (0, 1):
        assert same_value(case.key, written[number], kept[number])
        assert normal_value(case.key, written[number]) == normal_value(case.key, kept[number])
        assert not same_value(case.key, written[number], kept[1 - number])


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        ("data.flip", True, "random"),
        ("adversarial.eps", "8/255", 8 / 255),
        ("data.classes", ["cat", "dog"], ("dog", "cat", "dog")),
        ("optimizer.lr", 1, 1.0),
        ("optimizer.betas", [0.9, 0.999], (0.9, 0.999)),
        ("optimizer.others", {"name": "adamw"}, {"name": "adamw", "weight_decay": 0.01}),
        ("optimizer.others.lr", 1, 1.0),
    ],
)
def test_equal_spellings(key: str, one: Any, other: Any) -> None:
    assert same_value(key, one, other)
    assert same_value(key, other, one)
    assert normal_value(key, one) == normal_value(key, other)


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        ("data.flip", True, 1),
        ("data.flip", False, 0),
        ("data.flip", True, "alternating"),
        ("epochs", 1, True),
        ("adversarial.eps", "8/255", 8),
        ("data.classes", ["cat"], ["dog"]),
        ("optimizer.name", "sgd", "adam"),
    ],
)
def test_other_values(key: str, one: Any, other: Any) -> None:
    assert not same_value(key, one, other)
    assert normal_value(key, one) != normal_value(key, other)
