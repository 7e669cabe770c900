"""Roles of the settings, over every field of every class: what is in the id, what tells images apart, what differs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, get_args

import pytest
from pydantic import Field

from cifar_lab.analysis.factors import changes
from cifar_lab.config import SGD, AdamW, DataOptions, OneCycle, Runtime, Section, Settings, Synthetic
from cifar_lab.config.io.load import settings_from
from cifar_lab.config.io.setting_keys import NOT_IN_POINTS, keys_with
from cifar_lab.config.roles import (
    DefaultsTo,
    IdleUnless,
    Mark,
    Role,
    has_mark,
    leaves,
    marks,
    role_of,
    source_fields,
    source_key,
)
from cifar_lab.config.run_id import recipe
from tests.config.every_field import FieldCase, every_class, every_field

OUTSIDE = {
    "label", "seeds", "runtime.device", "runtime.compile", "runtime.kernels", "runtime.deterministic", "runtime.cohort",
    "runtime.threads", "runtime.checkpoint_seconds",
}  # fmt: skip
"""Settings that change no number beyond rounding. A new one does so only when it is added here too."""

FIRST_IDS = {"data", "model", "optimizer", "scheduler", "loss", "epochs", "runtime.precision"}
"""What every id has held from the first on. A new setting is never added here: it would change every id."""

INNER = ("width", "lr", "teacher")
"""Keys inside a setting that `every_field` changes."""

each_field = pytest.mark.parametrize("case", every_field(), ids=str)


def test_every_field_declares_its_role() -> None:
    undeclared = [
        f"{cls.__name__}.{name}"
        for _, _, cls in every_class()
        for name in cls.model_fields
        if role_of(cls, name) is Role.UNDECLARED and not isinstance(cls.model_fields[name].default, Section)
    ]
    assert not undeclared, f"state a role: {', '.join(undeclared)} = Annotated[…, Role.…]"


@each_field
def test_a_value_is_in_the_id_as_its_role_says(case: FieldCase, tmp_path: Path) -> None:
    one, other = case.pair(tmp_path)
    role = role_of(case.cls, case.name)
    assert (recipe(one) != recipe(other)) is role.in_id
    assert role.changes_numbers is (case.key not in OUTSIDE)


@each_field
def test_a_value_tells_images_apart_as_its_role_says(case: FieldCase, tmp_path: Path) -> None:
    one, other = case.pair(tmp_path)
    differs = source_key(one.data) != source_key(other.data)
    assert differs is (case.section == "data" and role_of(case.cls, case.name) is Role.SOURCE)


@each_field
def test_what_changes_numbers_is_a_difference_and_nothing_else(case: FieldCase, tmp_path: Path) -> None:
    found = [change.key for change in changes(*case.pair(tmp_path))]
    if role_of(case.cls, case.name).changes_numbers:
        assert found == [case.key] or found in ([f"{case.key}.{inner}"] for inner in INNER)
    else:
        assert found == []


@each_field
def test_marks_name_fields_that_there_are(case: FieldCase) -> None:
    for mark in marks(case.cls, case.name, IdleUnless):
        assert mark.field in case.cls.model_fields
    for default in marks(case.cls, case.name, DefaultsTo):
        assert default.key in {key for key, _, _ in leaves(Settings())}
        assert case.cls.model_fields[case.name].default is None


def test_no_more_than_the_first_settings_are_in_every_id() -> None:
    always = {name for name in Settings.model_fields if has_mark(Settings, name, Mark.ALWAYS_IN_ID)}
    always |= {
        f"{section}.{name}"
        for section, _, cls in every_class()
        for name in cls.model_fields
        if section and has_mark(cls, name, Mark.ALWAYS_IN_ID)
    }
    assert always == FIRST_IDS


def test_what_only_names_or_lists_runs_is_no_axis_of_a_sweep() -> None:
    assert keys_with(Role.LABEL) == NOT_IN_POINTS.keys() - {"extends"}


# --- fields without effect, and two spellings of one meaning ----------------------------------------------------------


@pytest.mark.parametrize("case", [case for case in every_field() if marks(case.cls, case.name, IdleUnless)], ids=str)
def test_a_field_that_is_idle_names_no_other_run(case: FieldCase, tmp_path: Path) -> None:
    (switch,) = (mark.field for mark in marks(case.cls, case.name, IdleUnless))
    one, other = case.pair(tmp_path, {switch: _off(case.cls.model_fields[switch].annotation)})
    assert recipe(one) == recipe(other)
    assert changes(one, other) == []


SPELLINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "null or the value it stands for": (
        {"scheduler": {"name": "one_cycle"}, "optimizer": {"lr": 0.25}},
        {"scheduler": {"name": "one_cycle", "max_lr": 0.25}, "optimizer": {"lr": 0.25}},
    ),
    "null or the default it stands for": (
        {"scheduler": {"name": "one_cycle"}},
        {"scheduler": {"name": "one_cycle", "max_lr": 0.001}},
    ),
    "whole or decimal": ({"optimizer": {"lr": 1}}, {"optimizer": {"lr": 1.0}}),
    "whole or decimal in a list": (
        {"optimizer": {"name": "adam", "betas": [0, 0.5]}},
        {"optimizer": {"name": "adam", "betas": [0.0, 0.5]}},
    ),
    "exponent or digits": ({"optimizer": {"lr": 1e-4}}, {"optimizer": {"lr": 0.0001}}),
    "zero with a sign": (
        {"optimizer": {"name": "adamw", "weight_decay": 0.0}},
        {"optimizer": {"name": "adamw", "weight_decay": -0.0}},
    ),
    "true or the word for it": ({"data": {"flip": True}}, {"data": {"flip": "random"}}),
    "a default or nothing": ({"optimizer": {"nesterov": False, "momentum": 0.9}}, {}),
    "a list or a tuple": (
        {"optimizer": {"name": "adam", "betas": (0.5, 0.6)}},
        {"optimizer": {"name": "adam", "betas": [0.5, 0.6]}},
    ),
}


@pytest.mark.parametrize("values", SPELLINGS.values(), ids=list(SPELLINGS))
def test_two_spellings_of_one_meaning_have_one_id(values: tuple[dict[str, Any], dict[str, Any]]) -> None:
    one, other = map(settings_from, values)
    assert recipe(one) == recipe(other)
    assert changes(one, other) == []


def test_a_path_is_spelled_in_many_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.pt").write_bytes(b"weights")
    (tmp_path / "own.py").write_text("class Own: ...\n")
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path)
    for spellings in (
        [{"weights": text} for text in ("a.pt", "./a.pt", "deep/../a.pt", str(tmp_path / "a.pt"))],
        [{"name": f"{text}:Own"} for text in ("own.py", "./own.py", "deep/../own.py", str(tmp_path / "own.py"))],
    ):
        found = [recipe(settings_from({"model": spelling})) for spelling in spellings]
        assert all(each == found[0] for each in found)


# --- a setting that is new --------------------------------------------------------------------------------------------


class Undeclared(Settings):
    """Settings with a new one of which nobody said what it is for."""

    ema_decay: float = Field(0.0, ge=0, lt=1)


class Averaging(Section):
    """A new section."""

    default_role: ClassVar[Role] = Role.MEMBER
    decay: float = 0.0
    note: Annotated[str, Role.LABEL] = ""


class WithSection(Settings):
    """Settings with a new section."""

    averaging: Averaging = Averaging()


class NewRuntime(Runtime):
    """Execution with a new setting that changes numbers."""

    rounding: Annotated[str, Role.SHARED] = "even"


class NewData(Synthetic):
    """Images with an option of which nobody said what it is for."""

    hue: float = 0.0


def test_a_new_setting_is_in_the_id_and_leaves_it_alone_at_its_default() -> None:
    plain = recipe(Settings())
    assert recipe(Undeclared()) == plain
    assert recipe(Undeclared(ema_decay=0.9)) == {**plain, "ema_decay": 0.9}
    assert recipe(WithSection()) == recipe(WithSection(averaging=Averaging(note="x"))) == plain
    assert recipe(WithSection(averaging=Averaging(decay=0.9))) == {**plain, "averaging": {"decay": 0.9}}
    assert recipe(Settings(runtime=NewRuntime())) == plain
    assert recipe(Settings(runtime=NewRuntime(rounding="up"))) == {**plain, "runtime": {"rounding": "up"}}


def test_an_option_of_the_data_without_a_role_is_in_the_id_and_tells_images_apart() -> None:
    one, other = NewData(dataset="synthetic"), NewData(dataset="synthetic", hue=0.5)
    assert recipe(Settings(data=one)) == recipe(Settings(data=Synthetic(dataset="synthetic")))
    assert recipe(Settings(data=other))["data"] == {"hue": 0.5}
    assert source_key(one) != source_key(other)
    assert "hue" in source_fields(NewData)


def test_a_role_is_the_fields_own_or_that_of_the_field_it_overrides_or_its_classs() -> None:
    class Own(SGD):
        """An optimizer whose momentum is the same for a whole cohort."""

        momentum: Annotated[float, Role.SHARED] = 0.9

    class Again(Own):
        """The same with another default."""

        momentum: float = 0.5

    assert role_of(Own, "momentum") is role_of(Again, "momentum") is Role.SHARED
    assert role_of(Again, "nesterov") is role_of(AdamW, "weight_decay") is role_of(OneCycle, "max_lr") is Role.MEMBER
    assert role_of(DataOptions, "flip") is Role.MEMBER
    assert marks(Again, "momentum", Role) == [Role.SHARED]


def _off(annotation: Any) -> Any:
    """Value with which a field is off."""
    return False if annotation is bool else None if type(None) in get_args(annotation) else 0
