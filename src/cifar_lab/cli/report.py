"""`cifar-lab report`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cifar_lab.cli.options import DEFAULT_RESULTS, Overrides, Results


def report(
    results: Results = DEFAULT_RESULTS,
    lab: Annotated[Path, typer.Option("--lab", metavar="FILE", help="The sheet of questions.")] = Path(
        "configs/lab.yaml"
    ),
    data: Annotated[
        str | None, typer.Option("--data", metavar="NAME", help="The data set, where the arms ran on several.")
    ] = None,
    overrides: Overrides = [],  # noqa: B006
) -> None:
    """Redraw every chart and the report from what is in the results folder.

    A damaged record or file of winners is left out and named, and the command ends with 3.
    """
    from cifar_lab.errors import DataError
    from cifar_lab.progress import say
    from cifar_lab.report.build import build_report
    from cifar_lab.safe_text import plain

    made = build_report(lab, results, overrides, data)
    for line in made.lines:
        say(line)
    for fault in made.faults:
        say(f"cifar-lab: {plain(fault)}", sys.stderr)
    if made.faults:
        raise typer.Exit(DataError.exit_code)
