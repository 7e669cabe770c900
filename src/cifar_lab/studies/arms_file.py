"""Arms of a file that states several: every point of its space, or each of its arms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cifar_lab.config import Settings
from cifar_lab.config.io.arms_files import load_arms_sheet
from cifar_lab.studies.space.methods import expand
from cifar_lab.studies.sweep import refuse_idle_overrides


def load_arms_file(path: Path, overrides: Sequence[str] = ()) -> list[Settings]:
    """Settings of each arm, labelled by what it changes. Arms of the same meaning are one.

    Args:
        overrides: `KEY=VALUE` changes of the settings that every arm starts from.

    Raises:
        SettingsError: every problem of the file and its arms; an override of a setting in which the arms differ.
    """
    base, sheet = load_arms_sheet(path, overrides)
    refuse_idle_overrides(sheet, overrides, takes_seeds=True)
    return [point.settings for point in expand(sheet, base, str(path)).points]
