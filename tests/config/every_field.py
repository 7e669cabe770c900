"""Every field of every class of the settings, each with a pair of settings that differ in it and in nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from cifar_lab.config import ParameterGroup, Section, Settings, Synthetic
from cifar_lab.config.io.inner_sections import inner_classes
from cifar_lab.config.io.setting_keys import choice_key, choice_name, sections
from cifar_lab.config.registry import OWN_CLASSES
from cifar_lab.config.roles import IdleUnless, Mark, has_mark, marks

NUMBERS = (7, 2, 20, 64, 1, 0)
FRACTIONS = (0.4, 0.6, 0.05, 2.0, 30.0, 0.0)


@dataclass(frozen=True)
class FieldCase:
    """A field of one class of one section."""

    section: str
    """Empty for a setting outside the sections."""
    choice: str
    """What chooses the class; empty where there is no choice."""
    cls: type[Section]
    name: str

    @property
    def key(self) -> str:
        return f"{self.section}.{self.name}" if self.section else self.name

    def __str__(self) -> str:
        return ".".join(filter(None, (self.section, self.choice, self.name)))

    def pair(self, folder: Path, base: Mapping[str, Any] | None = None) -> tuple[Settings, Settings]:
        """Settings without and with another value of the field.

        Args:
            folder: for the files that settings name.
            base: values of the section that both have.
        """
        own = {**self._stated(folder), **dict.fromkeys(self._switches(), True), **(base or {})}
        own = {name: self._on(name, folder) if value is True else value for name, value in own.items()}
        first = own.get(self.name, self._default())
        values = [own, {**own, self.name: another(self.cls, self.name, first, folder)}]
        one, other = (Settings.model_validate({self.section: each} if self.section else each) for each in values)
        assert one != other
        return one, other

    def _stated(self, folder: Path) -> dict[str, Any]:
        """What a section of this class has to state."""
        if self.cls in OWN_CLASSES.values():
            return {"name": _own_code(folder)[0]}
        required = [name for name, field in self.cls.model_fields.items() if field.is_required()]
        chosen = {choice_key(self.section): self.choice} if self.choice else {}
        return {**{name: str(folder) for name in required}, **chosen}

    def _switches(self) -> list[str]:
        """Fields that must be on for this one to have an effect."""
        return [mark.field for mark in marks(self.cls, self.name, IdleUnless)]

    def _on(self, name: str, folder: Path) -> Any:
        default = self.cls.model_fields[name].default
        return default or another(self.cls, name, default, folder)

    def _default(self) -> Any:
        return self.cls.model_fields[self.name].get_default(call_default_factory=True)


NEEDED = {"gamma": 0.5, "milestones": [2], "base_lr": 0.001, "max_lr": 0.01}
"""Values of options without a default. Others are numbers of updates."""


def needed(cls: type[Section]) -> dict[str, Any]:
    """Settings that a class of torch needs beside its choice."""
    required = getattr(getattr(cls, "component", None), "required", ())
    return {"options": {name: NEEDED.get(name, 2) for name in required}} if required else {}


def every_class() -> Iterator[tuple[str, str, type[Section]]]:
    """(section, choice, class) of every class that settings can have; of Settings itself both are empty."""
    yield "", "", Settings
    for section, classes in sections().items():
        for cls in classes:
            yield section, choice_name(section, cls) if choice_key(section) else "", cls


def every_field() -> list[FieldCase]:
    """Every field but those that are a section, or the one word that chooses a class."""
    return [
        FieldCase(section, choice, cls, name)
        for section, choice, cls in every_class()
        for name, field in cls.model_fields.items()
        if not (section == "" and name in sections()) and not is_choice(field.annotation)
    ]


def is_choice(annotation: Any) -> bool:
    """Whether a field takes a single word."""
    return get_origin(annotation) is Literal and len(get_args(annotation)) == 1


def another(cls: type[BaseModel], name: str, old: Any, folder: Path) -> Any:
    """A valid value of the field other than `old`, from its type and bounds alone."""
    if has_mark(cls, name, Mark.CODE):  # type: ignore[arg-type]
        first, second = _own_code(folder)
        return [second] if name == "metrics" else second if old is None or old == first else first
    if has_mark(cls, name, Mark.BY_CONTENT):  # type: ignore[arg-type]
        (folder / name).write_bytes(b"content")
        return str(folder / name)
    if name == "classes":
        return ["disc", "ring"] if cls is Synthetic else ["another", "one"]
    if name == "images_per_class":
        return 1 if old != 1 else 2  # fewer than a small data set has
    half = [old / 2] if isinstance(old, float) and old else []
    for value in (*half, *candidates(cls.model_fields[name].annotation)):
        if value == old or value == getattr(old, "__float__", lambda: None)():
            continue
        try:
            cls.model_validate({name: value})
        except ValidationError as error:
            if any(each["loc"][:1] == (name,) for each in error.errors()):
                continue
        return value
    raise AssertionError(f"no other value of {cls.__name__}.{name} found; give `candidates` one of its type")


def candidates(annotation: Any) -> Iterator[Any]:
    """Values of a type."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if inner_classes(annotation):
        yield {"lr": 0.4}
        yield {"teacher": "run:another"}
        return
    if origin is Annotated:
        yield from candidates(arguments[0])
    elif origin in (Union, UnionType):
        for argument in arguments:
            yield from candidates(argument)
    elif origin is Literal:
        yield from arguments
    elif origin is tuple and arguments[0] is ParameterGroup:
        yield [{"match": "weight", "lr_factor": 0.4}]
    elif origin is tuple and get_origin(arguments[0]) is Annotated and get_origin(get_args(arguments[0])[0]) is tuple:
        yield [[0, 0.4], [0.6, 1], [1, 0]]
    elif origin is tuple:
        item = list(candidates(arguments[0]))
        count = 2 if arguments[-1] is Ellipsis else len(arguments)
        yield tuple(item[:count])
        yield tuple(item[count : 2 * count])
    elif origin is dict:
        yield {"width": 3}
    elif annotation is bool:
        yield from (True, False)
    elif annotation in (int, float):
        yield from NUMBERS if annotation is int else FRACTIONS
    elif annotation is str:
        yield "another"


def _own_code(folder: Path) -> tuple[str, str]:
    """Two classes of one file."""
    path = folder / "own.py"
    path.write_text("class One: ...\n\n\nclass Two: ...\n")
    return f"{path}:One", f"{path}:Two"
