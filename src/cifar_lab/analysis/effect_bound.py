"""Which differences do not matter, for two arms that a person compares outside a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cifar_lab.analysis.arms import load_arms
from cifar_lab.analysis.comparison_targets import ComparisonTarget
from cifar_lab.analysis.questions import DEFAULT_SHEET
from cifar_lab.analysis.summary import recipe_key
from cifar_lab.analysis.winners import read_winners
from cifar_lab.config.io import load_sheet
from cifar_lab.config.sheets import LabSheet
from cifar_lab.core.errors import DataError

DEFAULT = float(LabSheet.model_fields["min_effect"].default)
"""Of a lab sheet that names none, pp."""


@dataclass(frozen=True)
class EffectBound:
    """Differences smaller than this do not matter."""

    points: float
    """Percentage points of test accuracy."""
    source: str
    """Who says so."""


def effect_bound(
    sheet_path: Path, sides: Sequence[ComparisonTarget], results: Path, overrides: Sequence[str]
) -> EffectBound:
    """The sheet's `min_effect` where one of its questions has every side, else the default.

    Args:
        sheet_path: the sheet of questions; the default one need not be there.
        sides: with records each.
        overrides: change the settings files of the sheet.

    Raises:
        SettingsError: the sheet, or a settings file that it names, is wrong.
    """
    if sheet_path.is_file() or sheet_path != DEFAULT_SHEET:
        sheet = load_sheet(sheet_path, LabSheet)
        wanted = {recipe_key(side.records[0].recipe) for side in sides}
        if any(wanted <= keys for keys in _questions(sheet_path, sheet, results, overrides)):
            return EffectBound(sheet.min_effect, f"min_effect of {sheet_path.as_posix()}")
    return EffectBound(DEFAULT, "the default; --min-effect sets another")


def _questions(sheet_path: Path, sheet: LabSheet, results: Path, overrides: Sequence[str]) -> Iterator[set[str]]:
    """The recipes of each question: its control with its arms, or with the winners of its sweep."""
    arms = load_arms(sheet_path, sheet, overrides)
    for question in sheet.questions.values():
        keys = {arms[file].key for file in (question.control or sheet.control, *question.arms)}
        if question.sweep:
            try:
                winners = read_winners(results, Path(question.sweep).stem)
            except DataError:
                winners = None
            keys |= {recipe_key(recipe) for recipe in winners.recipes} if winners else set()
        yield keys
