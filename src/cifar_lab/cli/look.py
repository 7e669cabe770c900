"""`cifar-lab list` and `cifar-lab show`."""

from __future__ import annotations

from typing import Annotated

import typer

from cifar_lab.cli.options import DEFAULT_RESULTS, Results


def list_runs(results: Results = DEFAULT_RESULTS) -> None:
    """List the runs in the results folder."""
    from cifar_lab.cli.looking import print_list

    print_list(results)


def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or the beginning of it.")],
    results: Results = DEFAULT_RESULTS,
) -> None:
    """Show one run: settings, curve, accuracy and confusion a class."""
    from cifar_lab.cli.looking import print_run

    print_run(results, run)
