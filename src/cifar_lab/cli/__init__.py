"""Command line. Heavy imports stand inside each command, so that `--help` starts fast."""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Annotated

import typer

from cifar_lab.cli import (
    annotate,
    attack,
    check,
    claims,
    compare,
    diff,
    export,
    housekeeping,
    init,
    inspect_runs,
    pack,
    plan,
    predict,
    report,
    run,
    sweep,
)
from cifar_lab.cli.help import Command, Group
from cifar_lab.cli.notices import Notices
from cifar_lab.cli.options import flag
from cifar_lab.core._version import __version__
from cifar_lab.core.errors import ExitCode, Interrupted, LabError, SettingsError, TimeLimit, exit_code_of
from cifar_lab.core.host import ignore_output, print_status
from cifar_lab.core.text import plain, printable

GC_THRESHOLDS = 50_000, 10, 10
"""Thresholds of Python's garbage collector. With its defaults (700, 10, 10) it walks thousands of records and settings
again and again, which takes a tenth of the start of a large sweep."""


app = typer.Typer(
    name="cifar-lab",
    cls=Group,
    help="Controlled training experiments on small images: name the arms in YAML, get an answer you can defend.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _examples(*lines: str) -> str:
    """Examples below the options of a command, one per line."""
    return "\n\n".join(["Examples:", *(f"  {line}" for line in lines)])


_COMMANDS: tuple[tuple[str, Callable[..., None], tuple[str, ...]], ...] = (
    ("quickstart", run.quickstart, ()),
    ("init", init.init, ("cifar-lab init my_lab", "cifar-lab init my_lab --question 'Adam or SGD?'")),
    ("run", run.run, (
        "cifar-lab run configs/baseline.yaml configs/q3_adam.yaml",
        "cifar-lab run configs/q3_adam.yaml --epochs 2 --seeds 3x",
        "cifar-lab run --question q3 --until-decided",
    )),
    ("sweep", sweep.sweep, ("cifar-lab sweep configs/q8_grid.yaml --dry-run", "cifar-lab sweep configs/q8_grid.yaml")),
    ("plan", plan.plan, ("cifar-lab plan --question q3", "cifar-lab plan control.yaml arm.yaml --effect 1")),
    ("report", report.report, ("cifar-lab report", "cifar-lab report --check")),
    ("claims", claims.claims, ("cifar-lab claims", "cifar-lab claims configs/claims.yaml --json")),
    ("compare", compare.compare, ("cifar-lab compare configs/q3_adam.yaml configs/baseline.yaml",)),
    ("diff", diff.diff, ("cifar-lab diff 3fa9 81cc",)),
    ("list", inspect_runs.list_runs, (
        "cifar-lab list --arms", "cifar-lab list --filter 'accuracy>0.6 and optimizer.name=adam'",
    )),
    ("show", inspect_runs.show, ()),
    ("note", annotate.note, ("cifar-lab note 3fa9 'best so far'",)),
    ("tag", annotate.tag, ("cifar-lab tag 3fa9 best paper", "cifar-lab list --filter tag=best")),
    ("predict", predict.predict, (
        "cifar-lab predict 3fa9 cat.jpg", "cifar-lab predict 3fa9 81cc photos/ --out predictions.png",
    )),
    ("attack", attack.attack, (
        "cifar-lab attack configs/q3_adam.yaml", "cifar-lab attack 3fa9 --attack pgd --set eps=8/255 --set steps=100",
        "cifar-lab attack --lab lab.yaml --dry-run",
    )),
    ("export", export.export, ("cifar-lab export 3fa9 --format onnx",)),
    ("pack", pack.pack, ("cifar-lab pack --out lab.zip", "cifar-lab pack --no-weights")),
    ("unpack", pack.unpack, ("cifar-lab unpack lab.zip other_lab",)),
    ("rm", housekeeping.remove, ("cifar-lab rm 3fa9 --dry-run", "cifar-lab rm configs/q3_adam.yaml")),
    ("gc", housekeeping.collect, ("cifar-lab gc --dry-run",)),
    ("verify", inspect_runs.verify, ()),
    ("check", check.check, ("cifar-lab check configs/*.yaml",)),
    ("schema", check.schema, ("cifar-lab schema --output settings.schema.json",)),
)  # fmt: skip
for _name, _function, _lines_of_examples in _COMMANDS:
    app.command(_name, cls=Command, epilog=_examples(*_lines_of_examples) if _lines_of_examples else None)(_function)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"cifar-lab {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", metavar="", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
    debug: Annotated[
        bool,
        flag("--debug", help="Show the traceback of an error. Accepted anywhere in the command."),
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
    signal.signal(signal.SIGUSR1, _stop_before_limit)
    with Notices() as notices:
        code = _exit_code_of_app(debug)
    sys.exit(exit_code_of([code, ExitCode.DATA if notices.damage else ExitCode.DONE]))


def _exit_code_of_app(debug: bool) -> int:
    """Run the command, print its error, and return its exit code."""
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BrokenPipeError:
        ignore_output()
    except Exception as error:
        text = traceback.format_exc() if debug else "\n".join(f"cifar-lab: {line}" for line in _lines(error))
        print_status(printable(text.rstrip("\n")))
        machine = ExitCode.ENVIRONMENT if _has_errno(error) else ExitCode.RUNS_FAILED
        return error.exit_code if isinstance(error, LabError) else machine
    return ExitCode.DONE


def _lines(error: Exception) -> list[str]:
    """Lines of an expected error, or the location of an unexpected one."""
    if isinstance(error, LabError):
        each = map(str, error.problems) if isinstance(error, SettingsError) else str(error).splitlines()
        return [plain(one) for one in each]
    if isinstance(error, OSError) and error.errno is not None:
        where = error.filename or "a file or the standard output"
        return [plain(f"{where}: {error.strerror}; fix this, then run the same command again")]
    where = traceback.extract_tb(error.__traceback__)[-1]
    return [
        plain(f"unforeseen {type(error).__name__}: {error} ({where.filename}:{where.lineno})"),
        "this is a bug in cifar-lab: run the same command with --debug to see where, and please report it",
    ]


def _has_errno(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno is not None


def _stop_before_limit(signum: int, frame: object) -> None:
    raise TimeLimit("stopped, SIGUSR1 announced the end of the job; run the same command again to resume")


def _interrupt(signum: int, frame: object) -> None:
    raise Interrupted(
        "stopped; run the same command again to resume", signal.SIGTERM if signum == signal.SIGHUP else signum
    )
