"""Conversion of options to overrides, seeds, retry policy, engine and display."""

from __future__ import annotations

import contextlib
import re
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from cifar_lab.cli.options import DEFAULT_RESULTS, RetryChoice
from cifar_lab.core.errors import ExitCode, Problem, SettingsError, exit_code_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cifar_lab.config import Settings
    from cifar_lab.execution.context import Display, RunContext
    from cifar_lab.execution.local.early_worker import EarlyWorker
    from cifar_lab.execution.runner import RunBatch
    from cifar_lab.execution.tracker import Policy
    from cifar_lab.execution.trials import ModelTrials

T = TypeVar("T")


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
    from cifar_lab.core.terminal import say

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
    first: EarlyWorker | None = None,
) -> Iterator[RunContext]:
    """Open the engine of the options, and return the context with it and with the display.

    `first`: worker that was started early.

    Raises:
        SettingsError: an address for an engine without one, or an unknown mirror.
    """
    from contextlib import nullcontext
    from dataclasses import replace

    from cifar_lab.execution.context import local_engine, open_engine

    display = make_display(mirrors, context.results, quiet=quiet, verbose=verbose)
    here = engine == "here" and address is None
    with nullcontext(local_engine(first)) if here else open_engine(engine, address) as opened:
        yield replace(context, engine=opened, display=display)


def try_models(arms: Sequence[Settings], context: RunContext) -> None:
    """Try models and components from files or packages, after one line that says that their code is run.

    Raises:
        SettingsError: a model does not build or train, or a component fails.
    """
    from cifar_lab.core.host import print_status
    from cifar_lab.execution.trials import can_fail, own_names

    if not context.trials.enabled:
        return
    if names := own_names(arms):
        print_status(f"trying {', '.join(names)}: this runs their code; --no-trial omits this")
    if doubtful := [arm for arm in arms if can_fail(arm)]:
        context.trials.check(doubtful, context.images, context.results)


def trials_of(no_trial: bool, timeout: str | None) -> ModelTrials:
    """Trials of models by the options.

    Raises:
        SettingsError: the limit is no length of time.
    """
    from cifar_lab.core.text import parse_duration
    from cifar_lab.execution.trials import ModelTrials

    seconds = None if timeout is None else parse_duration(timeout, "--trial-timeout")
    return ModelTrials(enabled=not no_trial, seconds=seconds)


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
    *,
    wait: bool = False,
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
        wait=wait,
    )
