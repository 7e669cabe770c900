"""What `check` says of a file: the resolved settings, or what a sheet or sweep comes to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cifar_lab.cli.options import seeds_override


def describe(path: Path, overrides: Sequence[str], seeds: str | None) -> str:
    """The file's meaning as text, after all its checks.

    Raises:
        SettingsError: every problem of the file.
    """
    from cifar_lab.config_io import dump_settings, load_settings, load_sheet, sheet_file
    from cifar_lab.identity import recipe
    from cifar_lab.sheets import LabSheet, SweepSheet

    kind = _kind(path)
    if kind == "lab":
        sheet = load_sheet(path, LabSheet)
        arms = sum(len(question.arms) for question in sheet.questions.values())
        for name in [sheet.control, *(arm for question in sheet.questions.values() for arm in question.arms)]:
            load_settings(sheet_file(path, name), overrides)
        return f"# {path}: a lab sheet of {len(sheet.questions)} questions and {arms} arms, all good"
    if kind == "sweep":
        from cifar_lab.sweep_plan import expand

        sweep = load_sheet(path, SweepSheet)
        expansion = expand(sweep, load_settings(sheet_file(path, sweep.base), overrides), str(path), allow_large=True)
        return f"# {path}: a sweep of {len(expansion.points)} points, all good"
    settings = load_settings(path, [*overrides, *seeds_override(seeds)])
    recipe(settings)
    return f"# {path}: good; resolved:\n{dump_settings(settings)}"


def _kind(path: Path) -> str:
    """`lab`, `sweep` or `settings`, by the keys that only one of them has at the top."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "settings"
    keys = {line.partition(":")[0] for line in text.splitlines() if line[:1].isalpha()}
    return "lab" if "questions" in keys else "sweep" if keys & {"space", "base", "paired", "arms"} else "settings"
