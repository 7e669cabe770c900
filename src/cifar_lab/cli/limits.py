"""Options of `run` and `sweep` on tries, failures and time."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from cifar_lab.cli.options import collect

if TYPE_CHECKING:
    from cifar_lab.execution.retry_policy import Policy


class RetryChoice(StrEnum):
    """What becomes of runs that ended badly before this command."""

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


def policy_of(
    retries: int,
    retry: RetryChoice,
    max_failures: int | None,
    fail_fast: bool,
    time_limit: str | None,
    run_timeout: str | None,
) -> Policy:
    """What these options come to; the time begins now.

    Raises:
        SettingsError: a length of time that is none; each of them in one error.
    """
    import time

    from cifar_lab.core.text import parse_duration
    from cifar_lab.execution.retry_policy import Policy

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
