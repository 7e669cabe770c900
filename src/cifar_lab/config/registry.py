"""Components: choices of the sections, derived from the unions, and their makers, imported from higher packages.

A component is one class in `data`, `model`, `loss`, `training` or `schedules` with its entry (`Component`), named in
the union of its kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Annotated, Any, Literal, get_args, get_origin

from cifar_lab.config.data import Data
from cifar_lab.config.loss import AnyLoss
from cifar_lab.config.model import CustomModel, Model
from cifar_lab.config.model_options import ModelFacts, ModelOptions
from cifar_lab.config.roles import Component, Section
from cifar_lab.config.schedules import Scheduler
from cifar_lab.config.training import Average, Optimizer


def _classes(union: Any) -> Iterator[type[Section]]:
    """Classes of a union, without the annotations around it or them."""
    if get_origin(union) is Annotated:
        yield from _classes(get_args(union)[0])
    elif isinstance(union, type):
        yield union
    else:
        for part in get_args(union):
            yield from _classes(part)


def _choices(union: Any, key: str) -> dict[str, type[Section]]:
    """Class of each choice, in the order of the union. Classes whose key is not a Literal are left out."""
    words = {cls: cls.model_fields[key].annotation for cls in _classes(union)}
    return {get_args(word)[0]: cls for cls, word in words.items() if get_origin(word) is Literal}


SECTION_CHOICES: dict[str, tuple[str, dict[str, type[Section]]]] = {
    section: (key, _choices(union, key))
    for section, key, union in (
        ("data", "dataset", Data), ("model", "name", Model), ("optimizer", "name", Optimizer),
        ("scheduler", "name", Scheduler), ("loss", "name", AnyLoss), ("average", "name", Average),
    )
}  # fmt: skip
"""Sections with a choice: the key that chooses, and the class of each choice. The first is the default."""

OWN_CLASSES: dict[str, type[Section]] = {
    section: next(cls for cls in _classes(union) if get_origin(cls.model_fields["name"].annotation) is not Literal)
    for section, union in (("model", Model), ("optimizer", Optimizer), ("scheduler", Scheduler), ("loss", AnyLoss))
}
"""Class of each section whose choice may be a class or function of the user."""

BUILT_IN_MODELS: dict[str, type[ModelOptions]] = {
    name: cls for name, cls in SECTION_CHOICES["model"][1].items() if issubclass(cls, ModelOptions)
}
"""`model.name` and the settings class of each built-in model."""

GROUP_IMAGES = 16
"""Images that the `kernels` backend takes at a time: LANES in kernels.h."""

MODEL_FACTS: dict[str, ModelFacts] = {name: cls.component.facts for name, cls in BUILT_IN_MODELS.items()}
"""Facts by `model.name`, with default options."""


def facts_of(model: ModelOptions | CustomModel) -> ModelFacts | None:
    """Facts of a model with its options. None for a custom one."""
    return model.facts() if isinstance(model, ModelOptions) else None


def component_of(section: str, choice: str) -> Component | None:
    """Registry entry of a choice. None if the choice is unknown or has no entry."""
    return getattr(SECTION_CHOICES[section][1].get(choice), "component", None)


def label_of(section: str, choice: str) -> str:
    """Name of a choice on charts and in labels."""
    component = component_of(section, choice)
    return component.label or choice if component else choice


def makers(section: str, package: str) -> dict[str, Any]:
    """Maker of each choice of a section.

    Args:
        section: one of `SECTION_CHOICES`.
        package: dotted name of the package whose modules the entries name.

    Raises:
        ImportError, AttributeError: an entry names a module, or something in it, that does not exist, or is missing.
    """
    found = {}
    for choice, cls in SECTION_CHOICES[section][1].items():
        component = component_of(section, choice)
        if component is None:
            raise AttributeError(f"{cls.__name__} states no component = Component(maker=…)")
        module, _, name = component.maker.partition(":")
        found[choice] = getattr(import_module(f"{package}.{module}"), name)
    return found
