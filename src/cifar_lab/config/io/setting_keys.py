"""Keys of all settings, read from the classes of `cifar_lab.config`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from cifar_lab.config import Section, Settings
from cifar_lab.config.io.inner_sections import inner_fields
from cifar_lab.config.io.nearest_name import nearest
from cifar_lab.config.registry import OWN_CLASSES, SECTION_CHOICES
from cifar_lab.config.roles import Mark, Role, has_mark, role_of


@cache
def sections() -> dict[str, tuple[type[Section], ...]]:
    """Classes of each section. The first is the default."""
    found: dict[str, tuple[type[Section], ...]] = {}
    for name, field in Settings.model_fields.items():
        if name in SECTION_CHOICES:
            own = (OWN_CLASSES[name],) if name in OWN_CLASSES else ()
            found[name] = (*SECTION_CHOICES[name][1].values(), *own)
        elif isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            found[name] = (field.annotation,)
    return found


def choice_key(section: str) -> str:
    """Key that chooses the class of a section. Empty for a section without a choice."""
    return SECTION_CHOICES[section][0] if section in SECTION_CHOICES else ""


def default_choice(section: str) -> str:
    return next(iter(SECTION_CHOICES[section][1]))


def chosen(section: str, choice: Any) -> type[Section] | None:
    """Class that a choice names. None for an unknown choice."""
    if section in OWN_CLASSES and isinstance(choice, str) and ":" in choice:
        return OWN_CLASSES[section]
    return SECTION_CHOICES[section][1].get(choice) if isinstance(choice, str) else None


OWN_WORDS = {
    "model": "your model", "optimizer": "your optimizer", "scheduler": "your schedule", "loss": "your loss",
}  # fmt: skip
"""A class or function of the user in messages."""

OWN_FORM = {"model": "package.module:Class"}
"""Form of the name of a class or function of the user, as lists of choices show it."""


def own_form(section: str) -> tuple[str, ...]:
    """Form of a name of the user's code in a list of choices. Nothing for a section without."""
    return (OWN_FORM.get(section, "file.py:Name"),) if section in OWN_CLASSES else ()


def choice_name(section: str, cls: type[Section]) -> str:
    """Name of a class of a section in messages."""
    names = (name for name, known in SECTION_CHOICES[section][1].items() if known is cls)
    return next(names, OWN_WORDS.get(section, ""))


def known_choices(section: str) -> tuple[str, ...]:
    """Choices of a section as messages list them."""
    return (*SECTION_CHOICES[section][1], *own_form(section))


def owners(section: str, key: str) -> tuple[str, ...]:
    """Choices of a section that have a key."""
    found = [name for name, cls in SECTION_CHOICES[section][1].items() if key in cls.model_fields]
    own = own_form(section) if section in OWN_CLASSES and key in OWN_CLASSES[section].model_fields else ()
    return (*found, *own)


def section_keys(section: str) -> tuple[str, ...]:
    """Keys that at least one class of the section has."""
    return tuple(dict.fromkeys(key for cls in sections()[section] for key in cls.model_fields))


@cache
def dotted_keys() -> tuple[str, ...]:
    """Every setting as `section.key`, in the order of the classes."""
    keys: list[str] = []
    for name in Settings.model_fields:
        keys += [f"{name}.{key}" for key in section_keys(name)] if name in sections() else [name]
        keys += [f"{name}.{key}" for key in _inner_keys(name)]
    return tuple(keys)


def is_setting(key: str) -> bool:
    """Whether a dotted key is a setting. Keys below one with free keys are settings too."""
    return key in dotted_keys() or any(key.startswith(f"{free}.") for free in FREE_KEYS)


def _inner_keys(section: str) -> dict[str, list[tuple[type[Section], str]]]:
    """Keys of the sections inside a section, such as `others.lr`, with the classes and fields that they name."""
    found: dict[str, list[tuple[type[Section], str]]] = {}
    for cls in sections().get(section, ()):
        for outer, classes in inner_fields(cls).items():
            for inner in classes.values():
                for name in inner.model_fields:
                    found.setdefault(f"{outer}.{name}", []).append((inner, name))
    return found


def fields_of(key: str) -> list[tuple[type[Section], str]]:
    """Classes with a dotted setting, and the name of its field in each."""
    section, _, name = key.partition(".")
    if not name:
        return [(Settings, section)] if section in Settings.model_fields else []
    own = [(cls, name) for cls in sections().get(section, ()) if name in cls.model_fields]
    return own or _inner_keys(section).get(name, [])


@cache
def keys_with(*roles: Role) -> frozenset[str]:
    """Dotted keys of the settings that have one of the roles in at least one class of their section."""
    own = {name for name in Settings.model_fields if name not in sections() and role_of(Settings, name) in roles}
    return frozenset(own).union(_keys(lambda cls, name: role_of(cls, name) in roles))


def dotted_keys_of(name: str) -> tuple[str, ...]:
    """Dotted keys that a name without its section may mean. A misspelt name stands for the nearest one."""
    by_name: dict[str, list[str]] = {}
    for key in dotted_keys():
        section, _, last = key.partition(".")
        if last:
            by_name.setdefault(last, []).append(f"{section}.{last}")
    return tuple(by_name.get(name if name in by_name else nearest(name, by_name), []))


def number_types(key: str) -> frozenset[type]:
    """Number types (int, float) that the setting accepts: both for a free key, none for words and lists."""
    if any(key.startswith(f"{free}.") for free in FREE_KEYS):
        return frozenset((int, float))
    fields = (cls.model_fields[name] for cls, name in fields_of(key))
    return frozenset(found for field in fields for found in _parts(field.annotation) if found in (int, float))


def takes_decimals(key: str, bounds: tuple[float, float]) -> bool:
    """Whether a range of a setting holds decimal numbers. If it accepts both kinds, the bounds decide."""
    types = number_types(key)
    return float in types and (int not in types or any(isinstance(bound, float) for bound in bounds))


def _parts(annotation: Any) -> tuple[Any, ...]:
    """Types of a union, or the single type itself."""
    if get_origin(annotation) is Annotated:
        return _parts(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return tuple(part for argument in get_args(annotation) for part in _parts(argument))
    return (annotation,)


def _keys(chosen: Callable[[type[Section], str], bool]) -> tuple[str, ...]:
    """Dotted keys of the settings for which `chosen` holds in at least one class of their section."""
    return tuple(
        dict.fromkeys(
            f"{section}.{name}"
            for section, classes in sections().items()
            for cls in classes
            for name in cls.model_fields
            if chosen(cls, name)
        )
    )


PATH_KEYS = _keys(lambda cls, name: has_mark(cls, name, Mark.PATH))
"""Settings of sections that name a file, relative to the file that states them. Code only as `file.py:NAME`."""

CODE_KEYS = (*_keys(lambda cls, name: has_mark(cls, name, Mark.CODE)), "metrics")
"""Settings that name classes or functions of the user."""

FREE_KEYS = _keys(lambda cls, name: get_origin(cls.model_fields[name].annotation) is dict)
"""Settings with free inner keys: mappings whose keys the program does not check."""

NOT_IN_POINTS = {
    "label": "points and arms are named by their settings; remove it",
    "seeds": "seeds repeat a point and are not part of it; set search.seeds",
    "extends": "a sweep has one base; set base",
}
"""Keys beside the sections that a point of a sweep cannot have, with the reason."""
