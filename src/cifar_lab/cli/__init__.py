"""The command line. Heavy imports stand inside each command, so that `--help` is there at once."""

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

import cifar_lab
from cifar_lab.cli import compare, look, plan, report, run, settings, sweep
from cifar_lab.core.errors import EnvironmentFault, Interrupted, LabError, SettingsError
from cifar_lab.core.host import ignore_output
from cifar_lab.core.text import plain

COLLECTED_AFTER = 50_000, 10, 10
"""Thresholds of Python's garbage collector. Records and settings are read by the thousand and stay: by its own
thresholds (700, 10, 10) it walks them again and again, for a tenth of the time of a large sweep's start."""

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
app.command("list")(look.list_runs)
app.command("show")(look.show)
app.command("verify")(look.verify)
app.command("check")(settings.check)
app.command("schema")(settings.schema)
app.command("quickstart")(run.quickstart)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"cifar-lab {cifar_lab.__version__}")
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
    """Run a command; every error is a line on standard error and an exit code of `errors.py`."""
    gc.set_threshold(*COLLECTED_AFTER)
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
            error.exit_code if isinstance(error, LabError) else EnvironmentFault.exit_code if _of_disk(error) else 1
        )


def _lines(error: Exception) -> list[str]:
    """What a person reads: the words of a foreseen error, or where an unforeseen one arose."""
    if isinstance(error, LabError):
        each = error.problems if isinstance(error, SettingsError) else [error]
        return [plain(str(one)) for one in each]
    if isinstance(error, OSError) and error.errno is not None:
        where = error.filename or "a file or the standard output"
        return [plain(f"{where}: {error.strerror}; see to it, then give the same command again")]
    where = traceback.extract_tb(error.__traceback__)[-1]
    return [
        plain(f"unforeseen {type(error).__name__}: {error} ({where.filename}:{where.lineno})"),
        "this is a fault of cifar-lab: the same command with --debug shows where; please report it",
    ]


def _of_disk(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno is not None


def _interrupt(signum: int, frame: object) -> None:
    raise Interrupted(
        "stopped; give the same command again to go on", signal.SIGTERM if signum == signal.SIGHUP else signum
    )
