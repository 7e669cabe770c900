"""Settings from Python mappings, changed by dotted keys, and written as YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cifar_lab.config import (
    SGD,
    Adam,
    AdamW,
    Cifar10,
    CustomModel,
    NoSchedule,
    OneCycle,
    Plateau,
    ResNet18Model,
    Runtime,
    Section,
    Settings,
    Synthetic,
)
from cifar_lab.config.io.load import dump_settings, load_settings, settings_from, with_values
from cifar_lab.config.io.setting_keys import choice_key, sections
from cifar_lab.config.registry import OWN_CLASSES
from cifar_lab.config.rules import contradictions
from cifar_lab.core.errors import Problem, SettingsError
from tests.config.every_field import needed


def problems(values: Any, **more: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        settings_from(values, **more)
    return [str(problem) for problem in caught.value.problems]


# --- settings_from --------------------------------------------------------------------------------------------------


def test_from_a_mapping() -> None:
    values = {"optimizer": {"name": "adam", "betas": (0.5, 0.75)}, "seeds": (0, 1)}
    assert settings_from(values) == Settings(optimizer=Adam(name="adam", betas=(0.5, 0.75)), seeds=(0, 1))
    assert settings_from({}) == Settings()
    assert settings_from({"epochs": 3}, overrides=["epochs=4"]).epochs == 4


def test_every_problem_of_a_mapping_in_one_pass() -> None:
    told = problems({"epochs": 3.0, "optimizer": {"lr": -1}, "sceduler": {}}, where="notebook")
    assert told == [
        "notebook: epochs: 3.0 is a decimal number; expected a whole number from 1 to 100,000 — did you mean 3?",
        "notebook: optimizer.lr: -1 is out of range; expected a number above 0",
        "notebook: sceduler: no such setting — did you mean scheduler?",
    ]


def test_problems_are_objects() -> None:
    with pytest.raises(SettingsError) as caught:
        settings_from({"epochs": 0}, where="here")
    expected = Problem("here", "epochs", "0 is out of range; expected a whole number from 1 to 100,000")
    assert caught.value.problems == (expected,)


class Strange:
    pass


ENDLESS: dict[str, Any] = {}
ENDLESS["data"] = ENDLESS


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"epochs": float("nan")}, "epochs: nan is not a finite number"),
        ({"optimizer": {"lr": float("inf")}}, "optimizer.lr: inf is not a finite number"),
        ({"epochs": 2**63}, "epochs: this integer is too large; the largest is 2^63 − 1"),
        ({"label": "a\0b"}, "label: holds a control character; remove it"),
        ({"label": "\ud800"}, "label: holds a control character; remove it"),
        ({"seeds": list(range(10_001))}, "each from 0 to 4,294,967,295, at most 10,000 of them"),
        ({3: 4}, "the key 3 is not a string"),
        ({"data": {None: 4}}, "data: the key None is not a string"),
        ({"seeds": {1, 2}}, "seeds: a builtins.set is not a setting; give a plain number, string or list"),
        ({"seeds": [1, 2j]}, "seeds[1]: a builtins.complex is not a setting; give a plain number, string or list"),
        ({"label": b"x"}, "label: a builtins.bytes is not a setting; give a plain number, string or list"),
        ({"data": Settings}, "a pydantic._internal._model_construction.ModelMetaclass is not a setting"),
        ({"data": None}, "data: nothing is stated; expected a section with keys such as data.dataset"),
        ({"extends": 3}, "extends: expected the name of a settings file or a list of names, such as baseline.yaml"),
        ({"extends": "nowhere.yaml"}, "extends: no file nowhere.yaml"),
        ({"optimizer.lr": 1}, "optimizer.lr: no such setting at the top level — did you mean lr in section optimizer?"),
        (ENDLESS, "nested deeper than 20 levels"),
    ],
    ids=lambda case: repr(case)[:60],
)
def test_what_no_file_could_say(values: Any, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert any(expected in problem for problem in problems(values))


def test_paths_and_extends_are_relative_to_the_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.yaml").write_text("epochs: 3\n")
    settings = settings_from({"extends": "a.yaml", "data": {"root": Path("x")}}, base=Path("sub"))
    assert settings == Settings(epochs=3, data=Cifar10(root=str(tmp_path / "sub" / "x")))
    assert settings_from({"data": {"root": "x"}}).data == Cifar10(root=str(tmp_path / "x"))


# --- with_values ----------------------------------------------------------------------------------------------------


def test_with_values_follows_the_rules_of_set() -> None:
    base = settings_from({"optimizer": {"momentum": 0.5, "lr": 0.5}, "label": "base", "data": {"flip": True}})
    changed = with_values(base, {"optimizer.name": "adamw", "data.batch_size": 8, "seeds": (5,)}, where="q8.yaml:3")
    assert changed == Settings(
        label="base",
        optimizer=AdamW(name="adamw", lr=0.5, weight_decay=0.01),
        data=Cifar10(flip=True, batch_size=8),
        seeds=(5,),
    )
    assert base.optimizer == SGD(lr=0.5, momentum=0.5)
    assert with_values(base, {}, where="") == base
    back = with_values(changed, {"optimizer.name": "sgd"}, where="")
    assert back.optimizer == SGD(lr=0.5), "the default of adamw is not taken along"


def test_with_values_of_a_model_of_ones_own() -> None:
    base = settings_from({"model": {"name": "a.b:C", "options": {"width": 8, "depth": 2}}})
    assert with_values(base, {"model.options.width": 16}, where="").model == CustomModel(
        name="a.b:C", options={"width": 16, "depth": 2}
    )


def test_with_values_says_where() -> None:
    base = Settings(scheduler=Plateau(name="plateau", monitor="val_loss"), data=Cifar10(val_size=10))
    with pytest.raises(SettingsError) as caught:
        with_values(base, {"optimizer.momentum": 2, "optimizer.rl": 1, "data.val_size": 0}, where="q8.yaml:7")
    assert str(caught.value).split("\n") == [
        "q8.yaml:7: scheduler.monitor: val_loss needs a validation split; "
        "set data.val_size (0.1, say) or monitor train_loss",
        "q8.yaml:7: optimizer.momentum: 2 is out of range; expected a number at least 0 and below 1",
        "q8.yaml:7: optimizer.rl: no such setting — did you mean lr?",
    ]


def test_a_value_that_its_new_choice_lacks() -> None:
    with pytest.raises(SettingsError) as caught:
        with_values(Settings(), {"scheduler.name": "one_cycle", "scheduler.warmup_epochs": 1}, where="q8.yaml")
    assert str(caught.value) == (
        "q8.yaml: scheduler.warmup_epochs: one_cycle has no warmup_epochs; set pct_start instead"
    )


# --- dump -----------------------------------------------------------------------------------------------------------


def every_choice() -> list[Settings]:
    found = []
    for section, classes in sections().items():
        key = choice_key(section)
        for cls in classes:
            found.append(Settings.model_validate({"label": "x", section: sample(cls, key)}))
    return found


def sample(cls: type[Section], key: str) -> dict[str, Any]:
    if cls in OWN_CLASSES.values():
        options = {"w": 8, "on": True, "none": None, "deep": {"list": [1, 2.5, "no"]}}
        return {"name": "/abs/net.py:C", "options": options}
    root = {"root": "/images/my own"} if "root" in cls.model_fields else {}
    return {key: cls.model_fields[key].annotation.__args__[0], **root, **needed(cls)} if key else {}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "settings", every_choice(), ids=lambda s: f"{s.data.dataset} {s.model.name} {s.scheduler.name}"
)
def test_round_trip_of_every_choice(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "y.yaml").write_text(dump_settings(settings), encoding="utf-8")
    assert load_settings(tmp_path / "y.yaml") == settings


def test_round_trip_of_other_values(tmp_path: Path) -> None:
    settings = Settings(
        label="Größe 32 × 32: 日本 😀",
        data=Synthetic(dataset="synthetic", difficulty=1 / 3, train_size=640, val_size=64),
        model=ResNet18Model(name="ResNet18", weights="/w/a b.pt"),
        optimizer=AdamW(name="adamw", lr=1e-5, eps=1e-10, betas=(0.1, 0.2), weight_decay=1e22),
        scheduler=OneCycle(name="one_cycle", max_lr=3e-4, final_div_factor=1e7),
        seeds=tuple(range(50)),
        runtime=Runtime(threads=3, precision="bf16"),
    )
    (tmp_path / "y.yaml").write_text(dump_settings(settings), encoding="utf-8")
    assert load_settings(tmp_path / "y.yaml") == settings


LOOKS_ODD = ["1e-3", "1E5", "0123", "1:30", "1_000", "yes", "null", "~", "true", "True", ".inf", ".nan", "0x1F", "+3"]
LOOKS_ODD += ["=", "<<", "- x", "a: b", "a #b", "'", '"', "\\", "x ", " x", "[1]", "{a: 1}", "&a", "*a", "!x", "%x"]
LOOKS_ODD += ["@x", "`x`", "?", "|", ">", "---", "...", "two\nlines", "a\n\n b\n", "tab\tx", "a\r\nb", "\x85"]
LOOKS_ODD += ["\u2028", "\xa0", "\ufeff", "2024-01-05", "x" * 200, "word " * 40]


@pytest.mark.parametrize("label", LOOKS_ODD)
def test_round_trip_of_labels(label: str, tmp_path: Path) -> None:
    (tmp_path / "y.yaml").write_text(dump_settings(Settings(label=label)), encoding="utf-8", newline="")
    assert load_settings(tmp_path / "y.yaml").label == label


def test_dump_reads_well() -> None:
    text = dump_settings(Settings(label="Adam", optimizer=Adam(name="adam"), seeds=(0, 1)))
    assert text.startswith("label: Adam\ndata:\n  dataset: cifar10\n  batch_size: 64\n")
    assert "optimizer:\n  name: adam\n  lr: 0.001\n  weight_decay: 0.0\n  betas: [0.9, 0.999]\n  eps: 1.0e-08\n" in text
    assert "seeds: [0, 1]\n" in text


# --- contradictions -------------------------------------------------------------------------------------------------


def test_defaults_hold_together() -> None:
    assert contradictions(Settings()) == []


def test_contradictions_are_left_out_where_a_value_is_not_trusted() -> None:
    settings = Settings(scheduler=NoSchedule(warmup_epochs=20))
    assert contradictions(settings) == [("scheduler.warmup_epochs", "20 is not below epochs, which is 10")]
    assert contradictions(settings, ignore={"epochs"}) == []
    assert contradictions(settings, ignore={"scheduler"}) == []


@pytest.mark.parametrize(
    "settings",
    [
        Settings(optimizer=SGD(nesterov=True)),
        Settings(optimizer=Adam(name="adam", betas=(0.0, 0.0))),
        Settings(optimizer=Adam(name="adam", betas=(0.9, 0.9))),
        Settings(scheduler=NoSchedule(warmup_epochs=9.5)),
        Settings(scheduler=Plateau(name="plateau", min_lr=0.001)),
        Settings(scheduler=OneCycle(name="one_cycle", base_momentum=0.95)),
        Settings(scheduler=OneCycle(name="one_cycle", cycle_momentum=False), optimizer=SGD(momentum=0.0)),
        Settings(data=Cifar10(val_size=49_936)),
        Settings(data=Synthetic(dataset="synthetic", train_size=64)),
    ],
    ids=repr,
)
def test_edges_that_hold_together(settings: Settings) -> None:
    assert contradictions(settings) == []
