"""`cifar-lab report`."""

from __future__ import annotations

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
    """Redraw every chart and the report from what is in the results folder."""
    from cifar_lab.progress import say
    from cifar_lab.report.build import build_report

    for line in build_report(lab, results, overrides, data).lines:
        say(line)
