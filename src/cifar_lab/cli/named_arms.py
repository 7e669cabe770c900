"""Settings of the arms in the files that a command names, with its options as changes."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_lab.cli.conversion import collect, seeds_override
from cifar_lab.core.errors import Problem, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cifar_lab.config import Settings


def load_arms(files: Sequence[Path], overrides: Sequence[str], seeds: Sequence[str]) -> list[Settings]:
    """Load the settings of each file with the changes of the options, and labels that tell the arms apart.

    Raises:
        SettingsError: the problems of all files.
    """
    from cifar_lab.analysis.labels import with_distinct_labels

    changes = [*overrides, *seeds_override(seeds)]
    try:
        arms = collect([partial(_arms_of, path, changes) for path in files])
    except SettingsError as error:
        raise _with_sweep(error, files, overrides) from error
    written = [_as_written(path, len(each)) if overrides else [None] * len(each)
               for path, each in zip(files, arms, strict=True)]  # fmt: skip
    return with_distinct_labels([arm for each in arms for arm in each], [arm for each in written for arm in each])


def _arms_of(path: Path, changes: Sequence[str]) -> list[Settings]:
    """Settings of a file, or of each arm of a file with several."""
    from cifar_lab.config.io.arms_files import is_arms_file
    from cifar_lab.config.io.load import load_settings

    if not is_arms_file(path):
        return [load_settings(path, changes)]
    from cifar_lab.studies.arms_file import load_arms_file

    return load_arms_file(path, changes)


def _as_written(path: Path, arms: int) -> Sequence[Settings | None]:
    """Settings of each arm of a file without `--set`. None where they are contradictory without it."""
    try:
        found = _arms_of(path, ())
    except SettingsError:
        return [None] * arms
    return found if len(found) == arms else [None] * arms


def _with_sweep(error: SettingsError, files: Sequence[Path], overrides: Sequence[str]) -> SettingsError:
    """The problems, with the command that trains each value where `--set` lists several."""
    from cifar_lab.config.io.axis_words import axis_of_text
    from cifar_lab.config.io.messages import SEVERAL_VALUES

    axes = {key.strip(): axis_of_text(text) for key, _, text in (each.partition("=") for each in overrides)}
    space = ", ".join(f"{key}: {axis}" for key, axis in axes.items() if axis)
    asked = [problem for problem in error.problems if SEVERAL_VALUES in problem.message]
    if not space or not asked or not files:
        return error
    rest = [word for each in overrides if not axes[each.partition("=")[0].strip()] for word in ("--set", each)]
    told = f"{SEVERAL_VALUES} type {_sweep_command(files[0], space, rest)}"
    kept = [
        Problem(each.where, each.key, each.message.partition(SEVERAL_VALUES)[0] + told) if each is asked[0] else each
        for each in error.problems
        if each is asked[0] or each not in asked
    ]
    return SettingsError(kept)


def _sweep_command(base: Path, space: str, options: Sequence[str]) -> str:
    """Command that writes a file of arms and trains them, or a sweep where the space has a range."""
    is_list = "{" not in space
    lines = [f"base: {base.resolve() if base.is_absolute() else base.as_posix()}"]
    lines += [] if is_list else ["search: {method: random, trials: 20}"]
    lines.append(f"space: {{{space}}}")
    file = _free_name(base)
    command = shlex.join(["cifar-lab", "run" if is_list else "sweep", file, *options])
    also = f" (or cifar-lab sweep {file}, which chooses the best by validation accuracy)" if is_list else ""
    return f"printf '%s\\n' {shlex.join(lines)} > {file} && {command}{also}"


def _free_name(file: Path) -> str:
    """Name of a file of arms beside the working directory that does not exist yet."""
    names = (f"{file.stem}_arms{number or ''}.yaml" for number in range(1000))
    return next(name for name in names if not Path(name).exists())
