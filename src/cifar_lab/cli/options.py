"""Options that several commands share, and their conversion to settings, retry policy, engine and display."""

from __future__ import annotations

import contextlib
import re
import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from cifar_lab.core.errors import ExitCode, Problem, SettingsError, exit_code_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cifar_lab.config import Settings
    from cifar_lab.execution.context import Display, RunContext
    from cifar_lab.execution.runner import RunBatch
    from cifar_lab.execution.tracker import Policy

T = TypeVar("T")

TRAIN_PANEL = "Arms, seeds and settings"
EXECUTION_PANEL = "Execution"
LIMITS_PANEL = "Failures and time limits"
OUTPUT_PANEL = "Results and output"
"""Panels of `--help`."""


def flag(*names: str, help: str, panel: str | None = None, hidden: bool = False) -> Any:
    """Option without a value."""
    return typer.Option(*names, metavar="", help=help, rich_help_panel=panel, hidden=hidden)


Overrides = Annotated[
    list[str],
    typer.Option(
        "--set", metavar="KEY=VALUE", rich_help_panel=TRAIN_PANEL,
        help="Change a setting, such as optimizer.momentum=0.8. Repeatable.",
    ),
]  # fmt: skip
Seeds = Annotated[
    list[str],
    typer.Option(
        "--seeds", metavar="LIST", rich_help_panel=TRAIN_PANEL,
        help="Seeds to train instead of those in the file: 3x (three seeds), 0-4, or 0,1,7.",
    ),
]  # fmt: skip
Epochs = Annotated[
    int | None, typer.Option("--epochs", metavar="N", help="Short for --set epochs=N.", rich_help_panel=TRAIN_PANEL)
]
BatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", metavar="N", help="Short for --set data.batch_size=N.", rich_help_panel=TRAIN_PANEL),
]
LearningRate = Annotated[
    str | None,
    typer.Option("--lr", metavar="RATE", help="Short for --set optimizer.lr=RATE.", rich_help_panel=TRAIN_PANEL),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device", metavar="DEVICE", rich_help_panel=EXECUTION_PANEL,
        help="Short for --set runtime.device=DEVICE: auto, cpu or cuda.",
    ),
]  # fmt: skip


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
    typer.Option(
        "--results",
        metavar="DIR",
        help="The results folder.",
        show_default=True,
        rich_help_panel=OUTPUT_PANEL,
        parser=_results_folder,
    ),
]
Force = Annotated[bool, flag("--force", help="Retrain runs that already exist.", panel=TRAIN_PANEL)]
DryRun = Annotated[bool, flag("--dry-run", help="Print what would be done, without doing it.", panel=EXECUTION_PANEL)]
NoTrial = Annotated[
    bool,
    flag("--no-trial", help="Do not try models from files or packages before the start.", panel=EXECUTION_PANEL),
]
Resume = Annotated[bool, flag("--resume", help="Accepted for habit: runs always resume.", hidden=True)]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, metavar="N", rich_help_panel=EXECUTION_PANEL,
        help="Number of concurrent runs. Default: as many as the cores allow, a few on a GPU.",
    ),
]  # fmt: skip
EngineChoice = Annotated[
    Literal["here", "ray"],
    typer.Option(
        "--engine", metavar="here|ray", rich_help_panel=EXECUTION_PANEL,
        help="Train on this machine, or on a Ray cluster (docs/cluster.md).",
    ),
]  # fmt: skip
Address = Annotated[
    str | None,
    typer.Option(
        "--address", metavar="HOST:PORT", rich_help_panel=EXECUTION_PANEL,
        help="Address of the Ray cluster. Default: a Ray of this machine alone.",
    ),
]  # fmt: skip
Mirrors = Annotated[
    list[str],
    typer.Option(
        "--mirror", metavar="WHERE", rich_help_panel=OUTPUT_PANEL,
        help="Copy the curves to tensorboard, mlflow or mlflow:FILE.db. Repeatable.",
    ),
]  # fmt: skip
Quiet = Annotated[bool, flag("--quiet", "-q", help="Print no progress, only results and errors.", panel=OUTPUT_PANEL)]
Verbose = Annotated[
    bool, flag("--verbose", "-v", help="Print a line per epoch, also for many runs.", panel=OUTPUT_PANEL)
]

Lab = Annotated[
    Path | None,
    typer.Option(
        "--lab", metavar="FILE", rich_help_panel=TRAIN_PANEL,
        help="The lab file, with the questions. Default: lab.yaml, else configs/lab.yaml.",
    ),
]  # fmt: skip
Questions = Annotated[
    list[str],
    typer.Option(
        "--question", metavar="NAME", rich_help_panel=TRAIN_PANEL,
        help="A question of the lab file, such as q3. Repeatable.",
    ),
]  # fmt: skip


class RetryChoice(StrEnum):
    """Treatment of runs that failed in an earlier command."""

    NONE = "none"
    FAILED = "failed"
    ALL = "all"


Strict = Annotated[bool, flag("--strict", help="Exit with 5 if a run of a sweep diverged.", panel=LIMITS_PANEL)]
Retries = Annotated[
    int,
    typer.Option(
        "--retries", min=0, metavar="N", rich_help_panel=LIMITS_PANEL,
        help="Further attempts of a run whose process dies, runs out of memory or exceeds --run-timeout. "
        "Each resumes from the last completed epoch.",
    ),
]  # fmt: skip
Retry = Annotated[
    RetryChoice,
    typer.Option(
        "--retry", metavar="none|failed|all", rich_help_panel=LIMITS_PANEL,
        help="Runs of an earlier command to train again: none, those that failed, or also those that diverged.",
    ),
]  # fmt: skip
MaxFailures = Annotated[
    int | None,
    typer.Option(
        "--max-failures", min=1, metavar="N", help="Start no more runs after N failures.", rich_help_panel=LIMITS_PANEL
    ),
]
FailFast = Annotated[bool, flag("--fail-fast", help="Short for --max-failures 1.", panel=LIMITS_PANEL)]
TimeLimit = Annotated[
    str | None,
    typer.Option(
        "--time-limit", metavar="TIME", rich_help_panel=LIMITS_PANEL,
        help="Stop after this time (90s, 15m, 2h), at the end of the current epoch, with exit code 124.",
    ),
]  # fmt: skip
RunTimeout = Annotated[
    str | None,
    typer.Option(
        "--run-timeout", metavar="TIME", rich_help_panel=LIMITS_PANEL,
        help="End a run that takes longer than this time (90s, 15m, 2h).",
    ),
]  # fmt: skip

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


def short_overrides(
    epochs: int | None = None, batch_size: int | None = None, lr: str | None = None, device: str | None = None
) -> list[str]:
    """Options with a short name as overrides, to follow those of `--set`."""
    given = {"epochs": epochs, "data.batch_size": batch_size, "optimizer.lr": lr, "runtime.device": device}
    return [f"{key}={value}" for key, value in given.items() if value is not None]


def seeds_override(given: Sequence[str]) -> list[str]:
    """`--seeds 0,1,5-7` as an override of `seeds`, or no override without the option.

    Raises:
        SettingsError: as `parse_seeds`.
    """
    return [f"seeds={parse_seeds(given)}"] if given else []


MOST_SEEDS_MEANT = 30
"""Largest number after `--seeds` that may be meant as a number of seeds."""


def note(text: str) -> None:
    """Print a note on standard error."""
    from cifar_lab.progress.lines import say

    say(f"note: {text}", sys.stderr)


def parse_seeds(given: Sequence[str]) -> list[int]:
    """Parse seeds such as `0,1,5-7`, or `3x` for the first three. A note on standard error says what one number means.

    Raises:
        SettingsError: given more than once, not a list of whole numbers, a seed twice, or one that is too large.
    """
    from cifar_lab.config import MAX_SEED

    if len(given) > 1:
        raise SettingsError(f"--seeds: given {len(given)} times; give one list, such as --seeds {','.join(given)}")
    (text,) = given
    seeds: list[int] = []
    if number := re.fullmatch(r"\s*([0-9]{1,4})x\s*", text):
        text = f"0-{int(number[1]) - 1}" if int(number[1]) else text
    elif text.strip().isdecimal() and 1 < int(text) <= MOST_SEEDS_MEANT:
        seed = int(text)
        note(f"--seeds {seed} is seed number {seed} alone; for {seed} seeds, write --seeds {seed}x")
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise SettingsError(f"--seeds: {text!r} is not a list of seeds; write 3x (three seeds), 0-4 or 0,1,7")
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
    context: RunContext,
    engine: Literal["here", "ray"],
    address: str | None,
    mirrors: Sequence[str],
    *,
    quiet: bool = False,
    verbose: bool = False,
) -> Iterator[RunContext]:
    """Open the engine of the options, and return the context with it and with the display.

    Raises:
        SettingsError: an address for an engine without one, or an unknown mirror.
    """
    from dataclasses import replace

    from cifar_lab.execution.context import open_engine

    display = make_display(mirrors, context.results, quiet=quiet, verbose=verbose)
    with open_engine(engine, address) as opened:
        yield replace(context, engine=opened, display=display)


def try_models(arms: Sequence[Settings], context: RunContext) -> None:
    """Try models from files or packages, after one line that says that their code is run.

    Raises:
        SettingsError: a model does not build or train.
    """
    from cifar_lab.core.host import print_status
    from cifar_lab.execution.trials import custom_models

    names = custom_models(arms)
    if names and context.trials.enabled:
        print_status(f"trying {', '.join(names)}: this runs their code; --no-trial leaves it out")
        context.trials.check([arm for arm in arms if arm.model.name in names], context.images)


def make_display(
    mirrors: Sequence[str] = (), results: Path = DEFAULT_RESULTS, *, quiet: bool = False, verbose: bool = False
) -> Display:
    """Live bars where standard error is a terminal, plain lines elsewhere, with the mirrors as further sinks.

    Raises:
        SettingsError: an unknown mirror.
    """
    if mirrors:
        from cifar_lab.progress.sinks.relay import Mirrored, mirrors_of

        return Mirrored(make_display(quiet=quiet, verbose=verbose), mirrors_of(mirrors, results))
    from cifar_lab.progress.lines import FailureLines, PlainLines

    if quiet:
        return FailureLines()
    if verbose or not sys.stderr.isatty():
        return PlainLines(every_epoch=verbose)
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
