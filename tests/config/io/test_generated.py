"""Facts that hold for every setting there is, generated from the classes of `cifar_lab.config`."""

from __future__ import annotations

import math
import string
from collections.abc import Iterator
from typing import Any

import pytest

from cifar_lab.config import Section, Settings
from cifar_lab.config.io.load import settings_from
from cifar_lab.config.io.messages import limits_of
from cifar_lab.config.io.nearest_name import edits
from cifar_lab.config.io.setting_keys import choice_key, sections
from cifar_lab.config.registry import OWN_CLASSES
from cifar_lab.core.errors import SettingsError
from tests.config.every_field import needed

CUSTOM = "package.module:Class"


def fields() -> Iterator[tuple[str, type[Section], str]]:
    """Section, its class and the key, for every setting of every choice."""
    for section, classes in sections().items():
        for cls in classes:
            for key in cls.model_fields:
                yield section, cls, key


def stating(section: str, cls: type[Section], values: dict[str, Any]) -> dict[str, Any]:
    """A mapping that chooses a class and states values in it."""
    chosen = choice_key(section)
    head: dict[str, Any] = {}
    if chosen:
        literal = cls.model_fields[chosen].annotation
        head[chosen] = CUSTOM if cls in OWN_CLASSES.values() else literal.__args__[0]  # type: ignore[union-attr]
    if "root" in cls.model_fields and cls.model_fields["root"].is_required():
        head["root"] = "images"
    return {section: needed(cls) | head | values}


def message(values: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as caught:
        settings_from(values)
    return str(caught.value)


def told_of(values: dict[str, Any]) -> str:
    """What a person reads; nothing where all is well."""
    try:
        settings_from(values)
    except SettingsError as error:
        return str(error)
    return ""


NUMERIC = [(section, cls, key) for section, cls, key in fields() if cls.model_fields[key].annotation in (int, float)]


WHOLE = [case for case in NUMERIC if case[1].model_fields[case[2]].annotation is int]
WRONG = ["ten", "", "0x10", True, False, None, [], [1], {}, {"a": 1}, math.nan, math.inf, -math.inf, 10**40]


def test_there_are_numeric_settings() -> None:
    assert len(NUMERIC) >= 49


@pytest.mark.parametrize(("section", "cls", "key"), NUMERIC)
@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_wrong_types_are_refused(section: str, cls: type[Section], key: str, wrong: Any) -> None:
    assert message(stating(section, cls, {key: wrong})).startswith(f"{section}.{key}")


@pytest.mark.parametrize(("section", "cls", "key"), WHOLE)
def test_a_fraction_is_no_whole_number(section: str, cls: type[Section], key: str) -> None:
    assert "3.0 is a decimal number; expected a whole number" in message(stating(section, cls, {key: 3.0}))


@pytest.mark.parametrize(("section", "cls", "key"), NUMERIC)
def test_bounds(section: str, cls: type[Section], key: str) -> None:
    """Just outside of each bound is out of range; on a closed bound it is not."""
    info = cls.model_fields[key]
    whole = info.annotation is int
    limits = limits_of_field(info)
    assert limits, "every number has a bound"
    for name, bound in limits.items():
        above = name in ("le", "lt")
        outside = bound if name in ("gt", "lt") else bound + (1 if above else -1)
        if not whole and name in ("ge", "le"):
            outside = math.nextafter(bound, math.inf if above else -math.inf)
        told = message(stating(section, cls, {key: int(outside) if whole else outside}))
        assert f"{section}.{key}: " in told
        assert "is out of range; expected a" in told
        if name in ("ge", "le"):
            # It may still contradict another setting.
            assert "is out of range" not in told_of(stating(section, cls, {key: bound}))


def limits_of_field(info: Any) -> dict[str, float]:
    names = ("ge", "gt", "le", "lt")
    return {name: getattr(item, name) for item in info.metadata for name in names if hasattr(item, name)}


def typos(word: str) -> Iterator[str]:
    """Each letter left out, doubled, swapped with the next, or replaced."""
    letters = string.ascii_lowercase
    for i, letter in enumerate(word):
        yield word[:i] + word[i + 1 :]
        yield word[:i] + letter + word[i:]
        yield word[:i] + word[i + 1 : i + 2] + letter + word[i + 2 :]
        yield word[:i] + letters[(letters.find(letter) + 13) % 26] + word[i + 1 :]


@pytest.mark.parametrize(("section", "cls", "key"), list(fields()))
def test_one_letter_typos_of_keys(section: str, cls: type[Section], key: str) -> None:
    for typo in set(typos(key)) - set(cls.model_fields) - {""}:
        told = message(stating(section, cls, {typo: 1}))
        assert told == f"{section}.{typo}: no such setting — did you mean {key}?"


@pytest.mark.parametrize("key", list(Settings.model_fields))
def test_one_letter_typos_at_the_top(key: str) -> None:
    for typo in set(typos(key)) - set(Settings.model_fields):
        assert message({typo: 1}) == f"{typo}: no such setting — did you mean {key}?"


@pytest.mark.parametrize("section", [name for name in sections() if choice_key(name)])
def test_one_letter_typos_of_choices(section: str) -> None:
    key = choice_key(section)
    for cls in sections()[section]:
        if cls in OWN_CLASSES.values():
            continue
        word = stating(section, cls, {})[section][key]
        others = {stating(section, other, {})[section][key] for other in sections()[section]}
        for typo in set(typos(word)) - others - {""}:
            told = message({section: {key: typo}})
            assert told.startswith(f"{section}.{key}: {typo!r} is not one of: ")
            near = told.partition(" — did you mean ")[2].rstrip("?")
            assert near in others
            assert edits(typo.lower(), near.lower()) <= 1


def test_limits_are_read_through_annotations() -> None:
    threads = Settings.model_fields["runtime"].annotation.model_fields["threads"].annotation  # type: ignore[union-attr]
    assert limits_of(threads.__args__[0]) == {"ge": 1, "le": 256}
