"""Every component: its settings class is in the union of its kind, and its entry names a maker that is there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cifar_lab import data, models
from cifar_lab.config import Section, Settings
from cifar_lab.config.data import DataOptions
from cifar_lab.config.model_options import ModelOptions
from cifar_lab.config.optimizers import OptimizerOptions
from cifar_lab.config.registry import OWN_CLASSES, SECTION_CHOICES, component_of, label_of
from cifar_lab.config.schedulers import SchedulerOptions
from cifar_lab.training.optim.factory import MAKERS
from cifar_lab.training.optim.schedules import SCHEDULES

KINDS: dict[str, type[Section]] = {
    "data": DataOptions, "model": ModelOptions, "optimizer": OptimizerOptions, "scheduler": SchedulerOptions,
}  # fmt: skip
"""Sections with a choice, and what the classes of each have in common."""

MADE = {"data": data.DATASETS, "model": models.MODELS, "optimizer": MAKERS, "scheduler": SCHEDULES}

CHOICES = [(section, name) for section in KINDS for name in SECTION_CHOICES[section][1]]


def descendants(cls: type[Section]) -> Iterator[type[Section]]:
    for child in cls.__subclasses__():
        yield child
        yield from descendants(child)


@pytest.mark.parametrize("section", KINDS)
def test_a_class_that_can_be_chosen_is_in_the_union_of_its_kind(section: str) -> None:
    key, classes = SECTION_CHOICES[section]
    for cls in descendants(KINDS[section]):
        if cls.__module__.startswith("cifar_lab.") and key in cls.model_fields:
            known = (*classes.values(), OWN_CLASSES.get(section))
            assert cls in known, f"add {cls.__name__} to the union in {cls.__module__}"


@pytest.mark.parametrize(("section", "name"), CHOICES)
def test_each_choice_has_an_entry_of_its_own_and_can_be_chosen(section: str, name: str) -> None:
    key, classes = SECTION_CHOICES[section]
    cls = classes[name]
    assert issubclass(cls, KINDS[section]), f"{cls.__name__} needs the fields and the role of {KINDS[section].__name__}"
    assert "component" in vars(cls), f"state component = Component(maker=…) in {cls.__name__}"
    root = {"root": "somewhere"} if "root" in cls.model_fields else {}
    chosen = Settings.model_validate({section: {key: name, **root}})
    assert type(getattr(chosen, section)) is cls


def test_every_choice_is_made_by_the_package_of_its_kind() -> None:
    for section, made in MADE.items():
        assert list(made) == list(SECTION_CHOICES[section][1])
        assert len({str(maker) for maker in made.values()}) == len(made), "two choices have one maker"


def test_a_data_set_is_read_by_a_source_of_its_name() -> None:
    for name, cls in SECTION_CHOICES["data"][1].items():
        root = {"root": "somewhere"} if "root" in cls.model_fields else {}
        settings = cls.model_validate({"dataset": name, **root})
        assert data.DATASETS[name](settings).name == name


def test_labels_are_those_of_the_entries_or_the_choices_themselves() -> None:
    assert [label_of("optimizer", name) for name in ("sgd", "adamw", "none")] == ["SGD", "AdamW", "none"]
    assert label_of("scheduler", "one_cycle") == "one-cycle"
    assert label_of("scheduler", "cosine") == "cosine"
    assert component_of("model", "own.py:Own") is None
