"""`cifar-lab note` and `cifar-lab tag`."""

from __future__ import annotations

from typing import Annotated

import typer

from cifar_lab.cli.completion import complete_name
from cifar_lab.cli.options import DEFAULT_RESULTS, Results, flag

Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="First characters of a run id, or a label that one run has.",
        autocompletion=complete_name,
    ),
]


def note(
    run: Run,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="The note. Without it the note is printed.")
    ] = None,
    results: Results = DEFAULT_RESULTS,
    remove: Annotated[bool, flag("--remove", help="Remove the note.")] = False,
) -> None:
    """Write a note on a run. `list`, `show` and `report` print it. It does not change the id of the run."""
    from cifar_lab.cli.annotate_output import edit_note

    edit_note(results, run, "" if remove else text, remove=remove)


def tag(
    run: Run,
    tags: Annotated[
        list[str] | None, typer.Argument(metavar="TAG…", help="Tags to add. Without any the tags are printed.")
    ] = None,
    results: Results = DEFAULT_RESULTS,
    remove: Annotated[bool, flag("--remove", help="Remove these tags instead.")] = False,
) -> None:
    """Tag a run. `list --filter tag=TAG` selects by a tag. Tags do not change the id of the run."""
    from cifar_lab.cli.annotate_output import edit_tags

    edit_tags(results, run, tags or [], remove=remove)
