"""`cifar-lab diff`."""

from __future__ import annotations

from typing import Annotated

import typer

from cifar_lab.cli.completion import complete_name
from cifar_lab.cli.options import DEFAULT_RESULTS, Json, Results

RUN = "First characters of a run id, or a label that one run has."


def diff(
    first: Annotated[str, typer.Argument(metavar="A", help=RUN, autocompletion=complete_name)],
    second: Annotated[
        str, typer.Argument(metavar="B", help="The other run, in the same forms.", autocompletion=complete_name)
    ],
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Show in which settings, sources and environment two finished runs differ, with their uncommitted changes."""
    from cifar_lab.cli.diff_output import print_diff

    print_diff(results, first, second, as_json=as_json)
