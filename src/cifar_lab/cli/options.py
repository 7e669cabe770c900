"""Options that several commands share, and their conversion to settings, retry policy, engine and display."""

from __future__ import annotations

import contextlib
import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from cifar_lab.core.errors import ExitCode, Problem, SettingsError, exit_code_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cifar_lab.config import Settings
    from cifar_lab.execution.context import Display, RunContext
    from cifar_lab.execution.runner import RunBatch
    from cifar_lab.execution.tracker import Policy

T = TypeVar("T")

Overrides = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, e.g. optimizer.lr=0.01. Repeatable.")
]
Seeds = Annotated[
    list[str], typer.Option("--seeds", metavar="LIST", help="Seeds instead of the files' own, once: 0,1,2 or 0-4.")
]


def _results_folder(value: str | Path) -> Path:
    """Path of `--results`.

    Raises:
        SettingsError: it is empty, which would mean the working folder.
    """
    if not str(value).strip():
        raise SettingsError("--results: the name is empty; give a folder, such as --results results")
    return Path(value)


Results = Annotated[
    Path,
    typer.Option("--results", metavar="DIR", help="The results folder.", show_default=True, parser=_results_folder),
]
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
Strict = Annotated[bool, typer.Option("--strict", help="End with 5 when a run of the sweep diverged.")]
Mirrors = Annotated[
    list[str],
    typer.Option("--mirror", metavar="WHERE", help="Copy curves to tensorboard, mlflow or mlflow:FILE.db. Repeatable."),
]

Lab = Annotated[Path, typer.Option("--lab", metavar="FILE", help="The sheet of questions.")]
Questions = Annotated[
    list[str], typer.Option("--question", metavar="NAME", help="A question of the lab sheet, such as q3. Repeatable.")
]


class RetryChoice(StrEnum):
    """Treatment of runs that failed in an earlier command."""

    NONE = "none"
    FAILED = "failed"
    ALL = "all"


Retries = Annotated[
    int,
    typer.Option(
        "--retries", min=0, metavar="N",
        help="More tries of a run whose process died, ran out of memory or time; each goes on from its last epoch.",
    ),
]  # fmt: skip
Retry = Annotated[
    RetryChoice,
    typer.Option(
        "--retry", help="Runs that failed in an earlier command: leave them, try them again, or also what diverged."
    ),
]  # fmt: skip
MaxFailures = Annotated[
    int | None, typer.Option("--max-failures", min=1, metavar="N", help="Begin no more runs once N have failed.")
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="The same as --max-failures 1.")]
TimeLimit = Annotated[
    str | None,
    typer.Option(
        "--time-limit", metavar="TIME", help="Stop as Ctrl-C once does after 90s, 15m, 2h; the command ends with 124."
    ),
]
RunTimeout = Annotated[
    str | None,
    typer.Option("--run-timeout", metavar="TIME", help="End a run that takes longer than 90s, 15m, 2h: it is stuck."),
]

DEFAULT_RESULTS = Path("results")


def load_arms(files: Sequence[Path], overrides: Sequence[str], seeds: Sequence[str]) -> list[Settings]:
    """Load the settings of each file with the changes of the options.

    Raises:
        SettingsError: the problems of all files.
    """
    from cifar_lab.config.io.load import load_settings

    changes = [*overrides, *seeds_override(seeds)]
    return collect([partial(load_settings, path, changes) for path in files])


def collect(actions: Sequence[Callable[[], T]]) -> list[T]:
    """Call each action and return their results.

    Raises:
        SettingsError: the problems of all actions, each once.
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


def exit_code(batches: Sequence[RunBatch], *, diverged_counts: bool = True) -> int:
    """Exit code of the batches. A search may count a run that diverged as a result."""
    codes = [batch.exit_code for batch in batches]
    if diverged_counts and any(batch.diverged for batch in batches):
        codes.append(ExitCode.DIVERGED)
    return exit_code_of(codes)


def seeds_override(given: Sequence[str]) -> list[str]:
    """`--seeds 0,1,5-7` as an override of `seeds`, or no override without the option.

    Raises:
        SettingsError: as `parse_seeds`.
    """
    return [f"seeds={parse_seeds(given)}"] if given else []


def parse_seeds(given: Sequence[str]) -> list[int]:
    """Parse seeds such as `0,1,5-7`.

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


@contextlib.contextmanager
def open_context(
    context: RunContext, engine: Literal["here", "ray"], address: str | None, mirrors: Sequence[str]
) -> Iterator[RunContext]:
    """Open the engine of the options, and return the context with it and with the display.

    Raises:
        SettingsError: an address for an engine without one, or an unknown mirror.
    """
    from dataclasses import replace

    from cifar_lab.execution.context import open_engine

    display = make_display(mirrors, context.results)
    with open_engine(engine, address) as opened:
        yield replace(context, engine=opened, display=display)


def make_display(mirrors: Sequence[str] = (), results: Path = DEFAULT_RESULTS) -> Display:
    """Live bars on a terminal, plain lines elsewhere, with the mirrors as further sinks.

    Raises:
        SettingsError: an unknown mirror.
    """
    if mirrors:
        from cifar_lab.progress.sinks.relay import Mirrored, mirrors_of

        return Mirrored(make_display(), mirrors_of(mirrors, results))
    from cifar_lab.progress.lines import PlainLines

    if not sys.stdout.isatty():
        return PlainLines()
    from cifar_lab.progress.live import LiveBars, terminal_console

    return LiveBars(terminal_console())


def policy_of(
    retries: int,
    retry: RetryChoice,
    max_failures: int | None,
    fail_fast: bool,
    time_limit: str | None,
    run_timeout: str | None,
) -> Policy:
    """Retry policy of the options. The time limit counts from now.

    Raises:
        SettingsError: every option that is not a length of time.
    """
    import time

    from cifar_lab.core.text import parse_duration
    from cifar_lab.execution.tracker import Policy

    given = {"--time-limit": time_limit, "--run-timeout": run_timeout}
    options = [option for option, text in given.items() if text is not None]
    seconds = dict(
        zip(options, collect([partial(parse_duration, given[option] or "", option) for option in options]), strict=True)
    )
    return Policy(
        retries=retries,
        run_seconds=seconds.get("--run-timeout"),
        max_failures=1 if fail_fast else max_failures,
        deadline=time.monotonic() + seconds["--time-limit"] if "--time-limit" in seconds else None,
        retry=retry.value,
    )
