"""What `check` says of a file: the resolved settings, or what a sheet or sweep comes to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from cifar_lab.cli.options import collect, parse_seeds, seeds_override


def describe(path: Path, overrides: Sequence[str], seeds: Sequence[str]) -> str:
    """The file's meaning as text, after all its checks.

    Raises:
        SettingsError: every problem of the file and of those that it names.
    """
    from cifar_lab.config.io import dump_settings, load_settings
    from cifar_lab.config.run_id import recipe

    kind = _kind(path)
    if kind == "lab":
        return _describe_lab(path, overrides)
    if kind == "sweep":
        return _describe_sweep(path, overrides, seeds)
    settings = load_settings(path, [*overrides, *seeds_override(seeds)])
    recipe(settings)
    return f"# {path}: good; resolved:\n{dump_settings(settings)}"


def _describe_lab(path: Path, overrides: Sequence[str]) -> str:
    from cifar_lab.config.io import load_settings, load_sheet, sheet_file
    from cifar_lab.config.sheets import LabSheet
    from cifar_lab.core.text import count

    sheet = load_sheet(path, LabSheet)
    questions = sheet.questions.values()
    arms = [arm for question in questions for arm in question.arms]
    controls = [question.control for question in questions if question.control]
    sweeps = [question.sweep for question in questions if question.sweep]

    checks: list[Callable[[], object]] = [
        partial(load_settings, sheet_file(path, name), overrides)
        for name in dict.fromkeys([sheet.control, *controls, *arms])
    ]
    checks += [partial(_describe_sweep, sheet_file(path, name), overrides) for name in sweeps]
    collect(checks)
    return f"# {path}: a lab sheet of {count(len(questions), 'question')} and {count(len(arms), 'arm')}, all good"


def _describe_sweep(path: Path, overrides: Sequence[str], seeds: Sequence[str] = ()) -> str:
    from cifar_lab.core.text import count
    from cifar_lab.studies.sweep import load_sweep

    sweep = load_sweep(path, overrides, parse_seeds(seeds) if seeds else None, allow_large=True)
    expansion = sweep.expansion
    points = count(len(expansion.points), "point")
    if expansion.proposals:
        proposals = f"{count(expansion.proposals, 'proposal')} of {sweep.search.method}"
        points = f"{proposals} and {points}" if expansion.points else proposals
    return f"# {path}: a sweep of {points}, all good"


def _kind(path: Path) -> str:
    """`lab`, `sweep` or `settings`, by the keys that only one of them has at the top."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "settings"
    keys = {line.partition(":")[0] for line in text.splitlines() if line[:1].isalpha()}
    return "lab" if "questions" in keys else "sweep" if keys & {"space", "base", "paired", "arms"} else "settings"
