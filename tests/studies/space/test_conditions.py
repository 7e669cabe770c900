"""Conditional spaces: every point has the settings that belong to it and no others, whatever the search method."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.config import SGD, Settings
from cifar_lab.config.io.load import settings_from
from cifar_lab.config.io.sheet_files import load_sheet
from cifar_lab.config.sheets import SweepSheet
from cifar_lab.core.errors import SettingsError
from cifar_lab.execution.context import RunContext
from cifar_lab.execution.runner import RunBatch
from cifar_lab.studies import search as searching
from cifar_lab.studies.space.agreement import drawn_axes
from cifar_lab.studies.space.conditions import Space
from cifar_lab.studies.space.methods import expand, start_method
from cifar_lab.studies.space.points import Point, PointResult, identity_of
from cifar_lab.studies.space.tpe import distributions_of, params_of, present_axes, values_of

SPACE: dict[str, Any] = {
    "optimizer.name": ["sgd", "adam", "adamw"],
    "optimizer.momentum": {"values": [0.0, 0.9, 0.95], "when": {"optimizer.name": "sgd"}},
    "optimizer.nesterov": {"values": [False, True], "when": {"optimizer.momentum": [0.9, 0.95]}},
    "optimizer.betas": {
        "values": [[0.9, 0.999], [0.8, 0.99], [0.9, 0.99], [0.95, 0.999], [0.5, 0.9]],
        "when": {"optimizer.name": ["adam", "adamw"]},
    },
    "optimizer.lr": [
        {"values": [0.1, 0.05, 0.02, 0.01], "when": {"optimizer.name": "sgd"}},
        {"values": [0.01, 0.005, 0.002, 0.001], "when": {"optimizer.name": ["adam", "adamw"]}},
    ],
}
"""60 points: 20 of SGD and 20 of each Adam."""

METHODS: dict[str, dict[str, Any]] = {
    "grid": {},
    "random": {"method": "random", "trials": 60},
    "tpe": {"method": "tpe", "trials": 60, "batch": 12},
    "halving": {"halving": {"eta": 3, "rungs": 3}},
    "racing": {"seeds": [0, 1, 2], "racing": {}},
}


def sheet(search: dict[str, Any], space: dict[str, Any] | None = None, **parts: Any) -> SweepSheet:
    return SweepSheet.model_validate({"base": "b.yaml", "space": space or SPACE, "search": search, **parts})


def score(point: Point) -> float:
    """Best for an Adam with a rate of 0.005."""
    rate = math.log10(point.settings.optimizer.lr / 0.005)
    return 0.9 - 0.1 * abs(rate) - 0.05 * (point.settings.optimizer.name == "sgd")


def searched(base: Settings, found: SweepSheet, monkeypatch: pytest.MonkeyPatch, stop_after: int | None = None) -> Any:
    """State of a search whose runs are made by `score`, or that is cut after some steps."""
    monkeypatch.setattr(
        searching, "_results", lambda points, *_: {each.name: PointResult(each, (score(each),)) for each in points}
    )
    steps: Iterator[int] = iter(range(10_000))

    def runs(state: Any, step: Any) -> RunBatch | None:
        return None if stop_after is not None and next(steps) >= stop_after else RunBatch([], [], [])

    method = start_method(found, base, expand(found, base, "s.yaml"), "s.yaml")
    return searching.run_search(method, found.search, RunContext(Path("nowhere")), runs)


@pytest.mark.parametrize("method", METHODS)
def test_points_have_what_belongs_to_them_once_and_again(
    method: str, base: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = sheet(METHODS[method])
    state = searched(base, found, monkeypatch)
    points = state.points
    if method in ("grid", "halving", "racing"):
        assert Counter(point.values["optimizer.name"] for point in points) == {"sgd": 20, "adam": 20, "adamw": 20}
    assert len({point.name for point in points}) == len({identity_of(p.settings) for p in points}) == len(points) > 20
    for point in points:
        is_sgd = point.values["optimizer.name"] == "sgd"
        assert ("optimizer.momentum" in point.values) == is_sgd
        assert ("optimizer.betas" in point.values) != is_sgd
        assert ("optimizer.nesterov" in point.values) == (is_sgd and point.values["optimizer.momentum"] > 0)
        allowed = SPACE["optimizer.lr"][0 if is_sgd else 1]["values"]
        assert point.values["optimizer.lr"] in allowed
        for key, value in point.values.items():
            stated = getattr(point.settings.optimizer, key.partition(".")[2])
            assert (list(stated) if isinstance(stated, tuple) else stated) == value
    for steps in (0, 1, 2):
        cut = searched(base, found, monkeypatch, steps)
        assert [point.name for point in cut.points] == [point.name for point in points[: len(cut.points)]]
    again = searched(base, found, monkeypatch)
    assert ([p.name for p in again.points], again.pruned) == ([p.name for p in points], state.pruned)
    assert again.dropped == state.dropped
    assert bool(state.dropped) == (method == "racing")


def test_a_condition_may_read_the_base_and_stand_before_its_key(base: Settings) -> None:
    space = {
        "optimizer.nesterov": {"values": [False, True], "when": {"optimizer.momentum": 0.9, "epochs": 9}},
        "optimizer.momentum": [0.0, 0.9],
    }
    found = expand(sheet({}, space), base, "s.yaml")
    assert [dict(point.values) for point in found.points] == [
        {"optimizer.momentum": 0.0},
        {"optimizer.nesterov": False, "optimizer.momentum": 0.9},
        {"optimizer.nesterov": True, "optimizer.momentum": 0.9},
    ]


def test_a_condition_reads_the_setting_that_the_point_has() -> None:
    """The base's momentum belongs to SGD alone: another optimizer of the point has none."""
    base = settings_from({"optimizer": {"name": "sgd", "momentum": 0.5}})
    space = {"optimizer.name": ["sgd", "adam"], "data.flip": {"values": [True], "when": {"optimizer.momentum": 0.5}}}
    first, second = expand(sheet({}, space), base, "s.yaml").points
    assert isinstance(first.settings.optimizer, SGD)
    assert [dict(first.values), dict(second.values)] == [
        {"optimizer.name": "sgd", "data.flip": True},
        {"optimizer.name": "adam"},
    ]


def test_a_paired_group_has_a_condition_too(base: Settings) -> None:
    paired = [{"optimizer.lr": [0.1, 0.01], "optimizer.momentum": [0.0, 0.9], "when": {"optimizer.name": "sgd"}}]
    found = expand(sheet({}, {"optimizer.name": ["sgd", "adam"]}, paired=paired), base, "s.yaml")
    assert [point.name for point in found.points] == [
        "SGD · lr 0.1 · momentum 0.0",
        "SGD · lr 0.01 · momentum 0.9",
        "Adam",
    ]


def test_a_key_inside_an_inner_section_belongs_to_its_choice() -> None:
    base = settings_from({"optimizer": {"name": "sgd", "lr": 0.1}})
    space = {
        "optimizer.name": ["sgd", "muon"],
        "optimizer.others.name": {"values": ["sgd", "adam"], "when": {"optimizer.name": "muon"}},
        "optimizer.others.momentum": {"values": [0.8], "when": {"optimizer.others.name": "sgd"}},
        "optimizer.others.lr": {"values": [0.01, 0.02], "when": {"optimizer.others.momentum": 0.8}},
    }
    assert [point.name for point in expand(sheet({}, space), base, "s.yaml").points] == [
        "SGD",
        "Muon · others SGD · others momentum 0.8 · others lr 0.01",
        "Muon · others SGD · others momentum 0.8 · others lr 0.02",
        "Muon · others Adam",
    ]
    space["optimizer.others.lr"] = [0.01, 0.02]
    with pytest.raises(
        SettingsError, match=r"write optimizer.others.lr: \{values: .*, when: \{optimizer.name: muon\}\}"
    ):
        expand(sheet({}, space), base, "s.yaml")
    inside = settings_from({"optimizer": {"name": "muon", "others": {"name": "adam"}}})
    flip = {"data.flip": {"values": [True], "when": {"optimizer.others.name": "adam"}}, "optimizer.lr": [0.1]}
    (point,) = expand(sheet({}, flip), inside, "s.yaml").points
    assert point.values == {"data.flip": True, "optimizer.lr": 0.1}


def test_a_condition_changes_no_draw_of_the_other_axes(base: Settings) -> None:
    plain = {"optimizer.name": ["sgd", "adam"], "data.noise_std": {"min": 0.0, "max": 0.5}}
    more = {**plain, "optimizer.momentum": {"min": 0.5, "max": 0.99, "when": {"optimizer.name": "sgd"}}}
    search = {"method": "random", "trials": 20}
    before, after = (expand(sheet(search, space), base, "s.yaml").points for space in (plain, more))
    dropped = [{key: value for key, value in p.values.items() if key != "optimizer.momentum"} for p in after]
    assert dropped == [dict(point.values) for point in before]


def test_exclusions_read_the_keys_that_a_point_has(base: Settings) -> None:
    found = expand(sheet({}, exclude=[{"optimizer.momentum": 0.0}]), base, "s.yaml")
    assert (len(found.points), found.excluded) == (56, 4)


def test_a_point_is_a_trial_with_its_own_parameters(base: Settings) -> None:
    space = Space(drawn_axes(sheet({})), base)
    for point in expand(sheet({}), base, "s.yaml").points:
        axes = present_axes(space, point.values)
        params = params_of(point.values, axes)
        assert params.keys() == distributions_of(axes).keys()
        assert values_of(params, axes) == dict(point.values)


BAD: list[tuple[dict[str, Any], str]] = [
    (
        {"optimizer.momentum": {"values": [0.0], "when": {"optimizer.name": "adam"}}},
        "space.optimizer.momentum.when: never holds: optimizer.name is sgd in base; add optimizer.name to space, "
        "or drop `when`",
    ),
    (
        {"data.flip": {"values": [True], "when": {"scheduler.gamma": 0.1}}},
        "space.data.flip.when: never holds: base has no scheduler.gamma; let scheduler vary, or remove the key",
    ),
    (
        {
            "optimizer.name": ["sgd", "adam"],
            "optimizer.momentum": {"values": [0.9], "when": {"optimizer.name": "sgd"}},
            "optimizer.betas": {
                "values": [[0.9, 0.99]],
                "when": {"optimizer.name": "adam", "optimizer.momentum": 0.9},
            },
        },
        "space.optimizer.betas.when: no point has optimizer.name: adam, optimizer.momentum: 0.9; change it, or remove "
        "the key",
    ),
    (
        {
            "optimizer.name": ["sgd", "adam"],
            "optimizer.lr": [
                {"values": [0.1], "when": {"optimizer.name": "sgd"}},
                {"values": [0.2], "when": {"optimizer.name": ["sgd", "adam"]}},
            ],
        },
        "space.optimizer.lr[1]: belongs to the same points as optimizer.lr (optimizer.name: sgd); let the conditions "
        "differ",
    ),
    (
        {"optimizer.name": ["sgd", "adam"], "optimizer.momentum": [0.0, 0.9]},
        "optimizer.momentum: adam has no momentum; set the first of betas instead (in 2 of 4 points, first in: "
        "Adam · momentum 0.0); write optimizer.momentum: {values: [0.0, 0.9], when: {optimizer.name: sgd}}",
    ),
]


@pytest.mark.parametrize(("space", "message"), BAD)
def test_what_cannot_be_is_refused(space: dict[str, Any], message: str, base: Settings) -> None:
    with pytest.raises(SettingsError) as refused:
        expand(sheet({}, space), base, "s.yaml")
    assert [str(problem) for problem in refused.value.problems] == [f"s.yaml: {message}"]


FILES = {
    "optimizer.momentum: {values: [0.9], when: {optimizer.nam: sgd}}":
        "space.optimizer.momentum.when.optimizer.nam: no such setting — did you mean optimizer.name?",
    "optimizer.momentum: {values: [0.9], when: {optimizer.name: adamw}}, optimizer.name: [sgd, adam]":
        "space.optimizer.momentum.when.optimizer.name: no point has 'adamw' here — did you mean adam?",
    "data.flip: {values: [true], when: {data.crop_padding: 2}}, "
    "data.crop_padding: {values: [2], when: {data.flip: true}}":
        "space.data.flip.when: the conditions depend on each other: data.flip → data.crop_padding → data.flip; remove "
        "one of them",
    "data.flip: {values: [true], when: {data.flip: true}}":
        "space.data.flip.when: a key cannot depend on itself; remove one of them",
    "data.flip: {values: [true], when: {}}":
        "space.data.flip.when: expected a condition such as when: {optimizer.name: sgd}",
    "data.flip: {values: [], when: {epochs: 9}}":
        "space.data.flip.values: the list is empty; expected a list of values",
    "optimizer.lr: [{value: 1, when: {epochs: 9}}]":
        "space.optimizer.lr[0].value: not a key of a range, but of a W&B parameter; write [1]",
}  # fmt: skip


@pytest.mark.parametrize("space", FILES)
def test_a_file_names_the_key_and_what_was_meant(space: str, tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("epochs: 9\n")
    path = tmp_path / "s.yaml"
    path.write_text(f"base: b.yaml\nspace: {{{space}}}\n")
    with pytest.raises(SettingsError) as refused:
        load_sheet(path, SweepSheet)
    assert str(refused.value.problems[0]) == f"{path}:2: {FILES[space]}"


@pytest.mark.parametrize(
    ("base", "key", "wanted"),
    [
        ({"data": {"flip": True}}, "data.flip", "random"),
        ({"data": {"flip": "random"}}, "data.flip", True),
        ({"adversarial": {"eps": "8/255"}}, "adversarial.eps", 8 / 255),
        ({"adversarial": {"eps": 8 / 255}}, "adversarial.eps", ["8/255"]),
        ({"data": {"classes": ["cat", "dog"]}}, "data.classes", ["dog", "cat"]),
        ({"data": {"val_size": 0.1}}, "data.val_size", 5000),
        ({"data": {"val_size": 5000}}, "data.val_size", 0.1),
        ({"data": {"dataset": "synthetic", "train_size": 400, "val_size": 40}}, "data.val_size", 0.1),
        ({"scheduler": {"name": "one_cycle"}, "optimizer": {"lr": 0.05}}, "scheduler.max_lr", 0.05),
        ({"scheduler": {"name": "one_cycle", "max_lr": 0.05}, "optimizer": {"lr": 0.05}}, "scheduler.max_lr", None),
        ({"optimizer": {"lr": 1}}, "optimizer.lr", 1.0),
        ({}, "data.noise_std", 0),
    ],
)
@pytest.mark.parametrize("is_axis", [False, True])
def test_a_condition_holds_for_every_spelling_of_its_value(
    base: dict[str, Any], key: str, wanted: Any, is_axis: bool
) -> None:
    settings = settings_from({"epochs": 9, **base})
    section, _, name = key.partition(".")
    space: dict[str, Any] = {"data.batch_size": {"values": [32], "when": {key: wanted}}}
    if is_axis:
        space[key] = [base.get(section, {}).get(name, 0 if name == "noise_std" else None)]
    found = expand(sheet({}, space), settings, "s.yaml").points
    assert [point.settings.data.batch_size for point in found] == [32]


def test_a_condition_on_another_value_does_not_hold() -> None:
    settings = settings_from({"data": {"flip": "alternating", "val_size": 0.2}})
    for key, wanted in (("data.flip", "random"), ("data.val_size", 5000), ("data.val_size", 0.1)):
        with pytest.raises(SettingsError, match="never holds"):
            expand(sheet({}, {"data.batch_size": {"values": [32], "when": {key: wanted}}}), settings, "s.yaml")


def test_an_exclusion_and_a_repeated_option_are_read_by_their_meaning() -> None:
    settings = settings_from({})
    space = {"data.flip": [True, "random", False], "epochs": [1, 2]}
    found = expand(sheet({"method": "random", "trials": 20}, space, exclude=[{"data.flip": "random"}]), settings, "s")
    assert {point.settings.data.flip for point in found.points} == {False}
