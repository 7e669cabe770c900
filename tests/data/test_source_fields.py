"""The settings that select images, of every data set: only another value of them is another cache folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cifar_lab import data
from cifar_lab.config import Data
from cifar_lab.config.roles import Role, places, role_of
from cifar_lab.data import DATASETS, cache, catalog
from tests.config.every_field import FieldCase, every_field

SMALL = {"train_size": 30, "test_size": 20, "size": 30}
"""Sizes that data sets drawn on the spot may have."""

OPTIONS = [case for case in every_field() if case.section == "data"]


def folder(settings: Data) -> Path:
    """The folder of the prepared images."""
    return cache.folder_of(catalog.source_of(settings))


@pytest.mark.parametrize("case", OPTIONS, ids=str)
def test_a_setting_names_another_folder_if_it_selects_images(case: FieldCase, tmp_path: Path) -> None:
    one, other = (settings.data for settings in case.pair(tmp_path))
    selects = role_of(case.cls, case.name) is Role.SOURCE and case.name not in places(case.cls)
    assert (folder(one) != folder(other)) is selects, f"{case}: its role and the key() of its source disagree"


def drawn() -> list[FieldCase]:
    """The options of data sets that need no files."""
    return [case for case in OPTIONS if DATASETS[case.choice].synthetic and role_of(case.cls, case.name) is Role.SOURCE]


@pytest.mark.parametrize("case", drawn(), ids=str)
def test_a_setting_that_selects_images_gives_other_images(case: FieldCase, tmp_path: Path) -> None:
    base = {name: value for name, value in SMALL.items() if name in case.cls.model_fields}
    one, other = (data.prepare(settings.data) for settings in case.pair(tmp_path, base))
    assert one.fingerprint != other.fingerprint


@pytest.mark.parametrize("dataset", sorted({case.choice for case in drawn()}))
def test_one_command_prepares_images_at_their_defaults_and_at_other_values(dataset: str, tmp_path: Path) -> None:
    catalog = data.DatasetCatalog()
    seen = []
    for case in drawn():
        if case.choice == dataset:
            base: dict[str, Any] = {name: value for name, value in SMALL.items() if name in case.cls.model_fields}
            seen += [catalog.prepare(settings.data).fingerprint for settings in case.pair(tmp_path, base)]
    assert len(set(seen)) == len(seen) // 2 + 1, "one for what all have in common, one for each other value"
