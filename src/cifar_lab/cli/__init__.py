"""Command line. Heavy imports stand inside each command, so that `--help` starts fast."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import signal
import sys
import traceback
from typing import Annotated

import typer

from cifar_lab.cli import check, compare, inspect_runs, plan, report, run, sweep
from cifar_lab.core._version import __version__
from cifar_lab.core.errors import EnvironmentFault, Interrupted, LabError, SettingsError
from cifar_lab.core.host import ignore_output
from cifar_lab.core.text import plain

GC_THRESHOLDS = 50_000, 10, 10
"""Thresholds of Python's garbage collector. With its defaults (700, 10, 10) it walks thousands of records and settings
again and again, which takes a tenth of the start of a large sweep."""

app = typer.Typer(
    name="cifar-lab",
    help="Controlled training experiments on small images: name the arms in YAML, get an answer you can defend.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("sweep")(sweep.sweep)
app.command("plan")(plan.plan)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("list")(inspect_runs.list_runs)
app.command("show")(inspect_runs.show)
app.command("verify")(inspect_runs.verify)
app.command("check")(check.check)
app.command("schema")(check.schema)
app.command("quickstart")(run.quickstart)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"cifar-lab {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error. May stand anywhere in the command.")
    ] = False,
) -> None: ...


def main() -> None:
    """Run a command. Errors become lines on standard error and an exit code of `core.errors`."""
    gc.set_threshold(*GC_THRESHOLDS)
    if sys.stdout is None:  # `>&-`: descriptor 1 is closed, and the next file opened would take its place
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):  # a label that a poor locale has no letters for ends no run
        sys.stdout.reconfigure(errors="backslashreplace")
    debug = "--debug" in sys.argv
    sys.argv[1:] = [argument for argument in sys.argv[1:] if argument != "--debug"]
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:  # nohup
            signal.signal(signum, _interrupt)
    try:
        app()
    except BrokenPipeError:
        ignore_output()
        sys.exit(0)
    except Exception as error:
        if debug:
            traceback.print_exc()
        else:
            with contextlib.suppress(OSError):  # the terminal may be gone
                print("\n".join(f"cifar-lab: {line}" for line in _lines(error)), file=sys.stderr)
        sys.exit(
            error.exit_code if isinstance(error, LabError) else EnvironmentFault.exit_code if _has_errno(error) else 1
        )


def _lines(error: Exception) -> list[str]:
    """Lines of an expected error, or the location of an unexpected one."""
    if isinstance(error, LabError):
        each = map(str, error.problems) if isinstance(error, SettingsError) else str(error).splitlines()
        return [plain(one) for one in each]
    if isinstance(error, OSError) and error.errno is not None:
        where = error.filename or "a file or the standard output"
        return [plain(f"{where}: {error.strerror}; see to it, then give the same command again")]
    where = traceback.extract_tb(error.__traceback__)[-1]
    return [
        plain(f"unforeseen {type(error).__name__}: {error} ({where.filename}:{where.lineno})"),
        "this is a fault of cifar-lab: the same command with --debug shows where; please report it",
    ]


def _has_errno(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno is not None


def _interrupt(signum: int, frame: object) -> None:
    raise Interrupted(
        "stopped; give the same command again to go on", signal.SIGTERM if signum == signal.SIGHUP else signum
    )
