"""Which arms a command means that names questions of a lab sheet instead of files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_lab.core.errors import SettingsError

if TYPE_CHECKING:
    from cifar_lab.config import Settings
    from cifar_lab.config.sheets import LabSheet


@dataclass(frozen=True)
class Asked:
    """A question of arms, resolved."""

    name: str
    title: str
    factor: tuple[str, ...]
    control: Settings
    arms: tuple[Settings, ...]


@dataclass(frozen=True)
class AskedLab:
    """The questions that a command names."""

    questions: tuple[Asked, ...]
    sweeps: dict[str, Path]
    """Question → its sweep file."""
    family: int
    """Comparisons that a report on the whole sheet shows."""
    min_effect: float

    @property
    def arms(self) -> list[Settings]:
        """Everything to train, each settings file once, controls first."""
        files = [settings for asked in self.questions for settings in (asked.control, *asked.arms)]
        return list({id(settings): settings for settings in files}.values())


def ask(lab: Path, names: Sequence[str], overrides: Sequence[str], seeds: Sequence[str]) -> AskedLab:
    """The questions called `names`, or all of them where there is no name.

    Raises:
        SettingsError: the sheet or a file that it names is wrong; no question has such a name.
    """
    from cifar_lab.cli.options import load_arms
    from cifar_lab.config.io import load_sheet, sheet_file
    from cifar_lab.config.sheets import LabSheet

    sheet = load_sheet(lab, LabSheet)
    unknown = [name for name in names if name not in sheet.questions]
    if unknown:
        raise SettingsError(f"--question {unknown[0]}: {lab} has no such question; it has {', '.join(sheet.questions)}")
    wanted = {name: sheet.questions[name] for name in (names or sheet.questions)}
    files = dict.fromkeys(
        file
        for question in wanted.values()
        if question.sweep is None
        for file in (question.control or sheet.control, *question.arms)
    )
    arms = load_arms([sheet_file(lab, file) for file in files], overrides, seeds)
    found = dict(zip(files, arms, strict=True))
    questions = tuple(
        Asked(name, question.title, question.factor, found[question.control or sheet.control],
              tuple(found[file] for file in question.arms))
        for name, question in wanted.items()
        if question.sweep is None
    )  # fmt: skip
    sweeps = {name: sheet_file(lab, question.sweep) for name, question in wanted.items() if question.sweep}
    return AskedLab(questions, sweeps, _family(sheet, lab), sheet.min_effect)


def _family(sheet: LabSheet, lab: Path) -> int:
    """Comparisons of the whole sheet: its arms, and the winners that a report shows of each sweep."""
    from cifar_lab.analysis.winners import SHOWN
    from cifar_lab.config.io import load_sheet, sheet_file
    from cifar_lab.config.sheets import SweepSheet

    sweeps = [sheet_file(lab, question.sweep) for question in sheet.questions.values() if question.sweep]
    winners = [min(SHOWN, load_sheet(path, SweepSheet).search.top) for path in sweeps]
    return sum(len(question.arms) for question in sheet.questions.values()) + sum(winners)
