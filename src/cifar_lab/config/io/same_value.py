"""Equality of two values of a setting, however they are written: `8/255` is its number, `random` of flip is true."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from cifar_lab.config.io.inner_sections import inner_classes
from cifar_lab.config.io.setting_keys import fields_of
from cifar_lab.config.roles import DefaultsTo, Section, marks

VAL_SIZE = "data.val_size"
"""A number of images, or a share of them."""


def depends_on_others(key: str) -> bool:
    """Whether the meaning of a value of this setting depends on other settings."""
    return key == VAL_SIZE or bool(stands_for(key))


@cache
def stands_for(key: str) -> str:
    """Key of the setting whose value null takes in this one. Empty for a key without it."""
    return next((mark.key for cls, name in fields_of(key) for mark in marks(cls, name, DefaultsTo)), "")


def same_value(key: str, one: Any, other: Any) -> bool:
    """Whether two values of a dotted setting are the same, in a file or as the settings keep them."""
    if bool(comparable(one) == comparable(other)):
        return True
    return any(
        kept[0] == kept[1]
        for cls, name in _owners(key)
        if (kept := (_kept(cls, name, _Written(one)), _kept(cls, name, _Written(other))))[0] is not None
    )


def normal_value(key: str, value: Any) -> Any:
    """The value as the first class that accepts it keeps it. Unchanged where none does."""
    found = (_kept(cls, name, _Written(value)) for cls, name in _owners(key))
    return next((each for each in found if each is not None), comparable(value))


def comparable(value: Any) -> Any:
    """The value so that true is not 1, a tuple is a list, and 1 is 1.0."""
    if isinstance(value, BaseModel):
        return comparable(value.model_dump())
    if isinstance(value, dict):
        return {name: comparable(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [comparable(item) for item in value]
    return ("bool", value) if isinstance(value, bool) else value


class _Written:
    """A value of a file as a key of a cache. Lists and mappings have no hash, and true would be 1."""

    def __init__(self, value: Any) -> None:
        self.value, self.text = value, repr(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Written) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


@cache
def _owners(key: str) -> tuple[tuple[type[Section], str], ...]:
    """Classes with the setting, one per type of the field."""
    found: dict[str, tuple[type[Section], str]] = {}
    for cls, name in fields_of(key):
        found.setdefault(repr(cls.model_fields[name]), (cls, name))
    return tuple(found.values())


@cache
def _kept(cls: type[Section], name: str, written: _Written) -> Any:
    """The value as the class keeps it, with defaults stated, to be compared. None where it does not accept it."""
    try:
        return comparable(_adapter(cls, name).validate_python(written.value))
    except ValidationError:
        return None


@cache
def _adapter(cls: type[Section], name: str) -> TypeAdapter[Any]:
    """Type of a field by itself, with its limits and conversions."""
    field = cls.model_fields[name]
    kind: Any = field.annotation
    if inner_classes(kind):
        return TypeAdapter(kind)
    kind = Annotated[(kind, *field.metadata)] if field.metadata else kind
    return TypeAdapter(kind, config=ConfigDict(strict=True, allow_inf_nan=False))
