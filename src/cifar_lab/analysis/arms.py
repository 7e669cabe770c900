"""The settings files that a sheet of questions names, and the commands that make their runs."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifar_lab.analysis.summary import recipe_key
from cifar_lab.config import Settings
from cifar_lab.config.io import load_settings
from cifar_lab.config.run_id import DATA_SOURCE_KEYS, recipe, run_id
from cifar_lab.config.sheets import LabSheet
from cifar_lab.core.errors import LabError, Problem, SettingsError
from cifar_lab.store.records import Record

DEFAULT_RESULTS = Path("results")


@dataclass(frozen=True)
class Arm:
    """A settings file of the sheet, resolved."""

    label: str
    settings: Settings
    key: str
    """Its recipe; empty where a file that the recipe is made of is gone."""
    path: Path
    """Its file, as a person at the same place would write it."""
    command: str = ""
    """What to type to train it."""
    unfinished: tuple[int, ...] = ()
    """Seeds of its settings whose run has a folder and no record that counts."""


def data_words(record: Record, control: Settings) -> list[str]:
    """Overrides that lead from the sheet's data set to the one that the records were made on."""
    used: dict[str, Any] = record.settings["data"]
    named = control.data.model_dump(mode="json")
    words = []
    for key in sorted(DATA_SOURCE_KEYS & used.keys()):
        if used[key] != named.get(key):
            value = os.path.relpath(used[key]) if key == "root" and used[key] else used[key]
            words.append(f"data.{key}={value}")
    return words


def load_arms(sheet_path: Path, sheet: LabSheet, overrides: Sequence[str]) -> dict[str, Arm]:
    """Every settings file that the sheet names, each read once."""
    files = dict.fromkeys([sheet.control])
    for question in sheet.questions.values():
        files |= dict.fromkeys([*([question.control] if question.control else []), *question.arms])
    arms: dict[str, Arm] = {}
    problems: list[Problem] = []
    for file in files:
        try:
            settings = load_settings(beside(sheet_path, file), overrides)
        except SettingsError as error:
            problems += [problem for problem in error.problems if problem not in problems]
            continue
        try:
            key = recipe_key(recipe(settings))
        except LabError:
            key = ""
        arms[file] = Arm(settings.label or Path(file).stem, settings, key, beside(sheet_path, file))
    if problems:
        raise SettingsError(problems)
    return arms


def unfinished_seeds(arm: Arm, fingerprint: str, begun: frozenset[str]) -> tuple[int, ...]:
    """Seeds of the arm's settings whose run on these images is among the `begun`: ids with a folder and no record."""
    if not begun or not arm.key:
        return ()
    parts = json.loads(arm.key)
    return tuple(seed for seed in sorted(arm.settings.seeds) if run_id(parts, fingerprint, seed) in begun)


def beside(sheet_path: Path, file: str) -> Path:
    """A file that the sheet names, as a person at the same place would write it."""
    return sheet_path.parent / Path(file).expanduser()


def options(results: Path, overrides: Sequence[str]) -> list[str]:
    """The options that a command needs to make the runs of this report and no others."""
    words = [word for override in overrides for word in ("--set", override)]
    return words + (["--results", results.as_posix()] if results != DEFAULT_RESULTS else [])


def is_source(override: str) -> bool:
    """Whether `key=value` says where images come from."""
    section, _, key = override.partition("=")[0].strip().partition(".")
    return section == "data" and (not key or key in DATA_SOURCE_KEYS)


def same_source(record: Record, settings: Settings) -> bool:
    """Whether the record's settings say that its images come from where these settings take theirs.

    The archives of CIFAR are the same wherever they lie.
    """
    used: dict[str, Any] = record.settings["data"]
    named = settings.data.model_dump(mode="json")
    keys = DATA_SOURCE_KEYS & used.keys() & named.keys()
    if settings.data.dataset in ("cifar10", "cifar100"):
        keys -= {"root"}
    return record.data.name == named["dataset"] and all(used[key] == named[key] for key in keys)
