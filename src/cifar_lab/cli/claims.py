"""`cifar-lab claims`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cifar_lab.cli.completion import complete_file
from cifar_lab.cli.options import DEFAULT_RESULTS, Json, Overrides, Results, flag


def claims(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="The claims file. Default: claims.yaml beside the lab file.",
            autocompletion=complete_file,
        ),
    ] = None,
    results: Results = DEFAULT_RESULTS,
    data: Annotated[
        str | None, typer.Option("--data", metavar="NAME", help="The data set, if the arms ran on several.")
    ] = None,
    strict: Annotated[bool, flag("--strict", help="Exit with 1 also for a claim that is undecided.")] = False,
    overrides: Overrides = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Hold the claims of the claims file against the records. Exits with 1 if one does not hold.

    A claim holds, or does not hold, where the records show it with the tests of the report. With too few runs, or with
    numbers too close to the limit, it is undecided.
    """
    from cifar_lab.cli.claims_output import claims_file, print_claims

    raise typer.Exit(print_claims(claims_file(file), results, overrides, data, strict=strict, as_json=as_json))
