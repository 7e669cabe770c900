"""Sections inside a section: mappings in a list, as in `optimizer.groups`, and choices, as in `optimizer.others`."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from cifar_lab.config.roles import Section

INNER_CHOICE = "name"
"""Key that chooses the class of an inner section."""


def is_section(annotation: Any) -> bool:
    """Whether a type is a class of settings, such as `ParameterGroup`."""
    return isinstance(annotation, type) and issubclass(annotation, Section)


def section_of(annotation: Any) -> type[Section] | None:
    """Class of the items of a list of mappings. None for another type."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    arguments = get_args(annotation)
    return arguments[0] if get_origin(annotation) is tuple and is_section(arguments[0]) else None


def inner_classes(annotation: Any) -> dict[str, type[Section]]:
    """Class of each choice of a field that is itself a section. The first is the default. Empty for another field."""
    found = list(_classes(annotation))
    if not all(is_section(cls) and INNER_CHOICE in cls.model_fields for cls in found):
        return {}
    words = {cls: cls.model_fields[INNER_CHOICE].annotation for cls in found}
    return {get_args(word)[0]: cls for cls, word in words.items() if get_origin(word) is Literal}


def inner_fields(cls: type[Section]) -> dict[str, dict[str, type[Section]]]:
    """`inner_classes` of each field of a class that is itself a section."""
    found = {name: inner_classes(field.annotation) for name, field in cls.model_fields.items()}
    return {name: classes for name, classes in found.items() if classes}


def _classes(annotation: Any) -> list[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _classes(arguments[0])
    if origin in (Union, UnionType):
        return [cls for argument in arguments for cls in _classes(argument)]
    return [annotation]
