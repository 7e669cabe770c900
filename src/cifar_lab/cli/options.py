"""Options that several commands share, and the settings that a command's files and options come to."""

from __future__ import annotations

import contextlib
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from cifar_lab.core.errors import Problem, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cifar_lab.config import Settings
    from cifar_lab.execution.context import Display, RunContext

T = TypeVar("T")

Overrides = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, e.g. optimizer.lr=0.01. Repeatable.")
]
Seeds = Annotated[
    list[str], typer.Option("--seeds", metavar="LIST", help="Seeds instead of the files' own, once: 0,1,2 or 0-4.")
]
Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="The results folder.", show_default=True)]
Force = Annotated[bool, typer.Option("--force", help="Train again what is there already.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and what is there; do nothing.")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Runs side by side. Default: one a core; a few on a GPU.")
]
EngineChoice = Annotated[
    Literal["here", "ray"],
    typer.Option("--engine", help="Where runs are made: on this machine, or on a Ray cluster (docs/cluster.md)."),
]
Address = Annotated[
    str | None,
    typer.Option("--address", metavar="HOST:PORT", help="The Ray cluster; by itself one on this machine alone."),
]
Strict = Annotated[bool, typer.Option("--strict", help="End with 1 when a run diverged.")]
Mirrors = Annotated[
    list[str],
    typer.Option("--mirror", metavar="WHERE", help="Copy curves to tensorboard, mlflow or mlflow:FILE.db. Repeatable."),
]

Lab = Annotated[Path, typer.Option("--lab", metavar="FILE", help="The sheet of questions.")]
Questions = Annotated[
    list[str], typer.Option("--question", metavar="NAME", help="A question of the lab sheet, such as q3. Repeatable.")
]

DEFAULT_RESULTS = Path("results")


@contextlib.contextmanager
def at_work(
    context: RunContext, engine: Literal["here", "ray"], address: str | None, mirrors: Sequence[str]
) -> Iterator[RunContext]:
    """The place with the engine and the display that the options ask for, for as long as runs are made.

    Raises:
        SettingsError: an address for an engine that has none, or a mirror that there is not.
    """
    from dataclasses import replace

    from cifar_lab.execution.engine import open_engine

    display = display_here(mirrors, context.results)
    with open_engine(engine, address) as where:
        yield replace(context, engine=where, display=display)


def load_arms(files: Sequence[Path], overrides: Sequence[str], seeds: Sequence[str]) -> list[Settings]:
    """The settings of each file, changed as the options say; the problems of all files in one error.

    Raises:
        SettingsError: one line a problem.
    """
    from cifar_lab.config.io import load_settings

    changes = [*overrides, *seeds_override(seeds)]
    return collect([partial(load_settings, path, changes) for path in files])


def collect(actions: Sequence[Callable[[], T]]) -> list[T]:
    """What each action gives.

    Raises:
        SettingsError: the problems of all of them, each once.
    """
    found: list[T] = []
    problems: list[Problem] = []
    for action in actions:
        try:
            found.append(action())
        except SettingsError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    if problems:
        raise SettingsError(problems)
    return found


def seeds_override(given: Sequence[str]) -> list[str]:
    """`--seeds 0,1,5-7` as an override of `seeds`; nothing without the option.

    Raises:
        SettingsError: as `parse_seeds`.
    """
    return [f"seeds={parse_seeds(given)}"] if given else []


def parse_seeds(given: Sequence[str]) -> list[int]:
    """0,1,5-7, given once, as a list.

    Raises:
        SettingsError: given more than once, not a list of whole numbers, a seed twice, or one that is too large.
    """
    from cifar_lab.config import MAX_SEED

    if len(given) > 1:
        raise SettingsError(f"--seeds: given {len(given)} times; give one list, such as --seeds {','.join(given)}")
    (text,) = given
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise SettingsError(f"--seeds: {text!r} is no list of seeds; write 0,1,2 or 0-4")
        if dash and int(last) - int(first) >= 10_000:
            raise SettingsError(f"--seeds: {part.strip()} is more than 10,000 seeds")
        seeds += range(int(first), int(last or first) + 1) if dash else [int(first)]
    if len(set(seeds)) < len(seeds):
        raise SettingsError(f"--seeds: {text!r} names a seed twice")
    if max(seeds) > MAX_SEED:
        raise SettingsError(f"--seeds: {max(seeds)} is above {MAX_SEED}, the largest seed; choose a smaller one")
    return seeds


def display_here(mirrors: Sequence[str] = (), results: Path = DEFAULT_RESULTS) -> Display:
    """Live bars on a terminal, plain lines elsewhere; told to `mirrors` too, where there are any.

    Raises:
        SettingsError: a mirror that there is not.
    """
    if mirrors:
        from cifar_lab.progress.sinks.choice import mirrors_of
        from cifar_lab.progress.sinks.relay import Mirrored

        return Mirrored(display_here(), mirrors_of(mirrors, results))
    from cifar_lab.progress.lines import PlainLines

    if not sys.stdout.isatty():
        return PlainLines()
    from cifar_lab.progress.live import LiveBars, terminal_console

    return LiveBars(terminal_console())
