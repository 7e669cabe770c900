"""`cifar-lab rm` and `cifar-lab gc`."""

from __future__ import annotations

from typing import Annotated

import typer

from cifar_lab.cli.completion import complete_name
from cifar_lab.cli.options import DEFAULT_RESULTS, Json, Results, flag

DryRun = Annotated[bool, flag("--dry-run", help="Print what would be deleted, without deleting it.")]
Yes = Annotated[bool, flag("--yes", "-y", help="Delete without a question.")]


def remove(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN|ARM…",
            help="First characters of a run id, or a label or settings file for all runs of the arm.",
            autocompletion=complete_name,
        ),
    ],
    results: Results = DEFAULT_RESULTS,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove runs from the results folder.

    A run that another command holds is refused, and so is a folder with a file that cifar-lab did not write: nothing is
    removed then. A run that an earlier report or comparison has counted leaves a mark, and the report names it.
    """
    from cifar_lab.cli.housekeeping_output import remove_named

    remove_named(results, names, dry_run=dry_run, yes=yes, as_json=as_json)


def collect(
    results: Results = DEFAULT_RESULTS, dry_run: DryRun = False, yes: Yes = False, as_json: Json = False
) -> None:
    """Delete files that no command reads any more.

    These are checkpoints of finished runs, temporary files of writes that were interrupted, and what an interrupted
    `rm` left. Runs, records, weights, predictions and files that were set aside as damaged are kept.
    """
    from cifar_lab.cli.housekeeping_output import delete_unused

    delete_unused(results, dry_run=dry_run, yes=yes, as_json=as_json)
