"""`cifar-lab list`, `cifar-lab show` and `cifar-lab verify`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cifar_lab.cli.completion import complete_filter, complete_name
from cifar_lab.cli.options import DEFAULT_RESULTS, Json, Overrides, Results, flag


def list_runs(
    results: Results = DEFAULT_RESULTS,
    arms: Annotated[
        bool, flag("--arms", help="One line per arm: its runs, and the mean with its 95 % interval.")
    ] = False,
    sort: Annotated[
        str | None,
        typer.Option("--sort", metavar="COLUMN", help="Sort by a column. Accuracies are sorted from the highest down."),
    ] = None,
    reverse: Annotated[bool, flag("--reverse", help="Reverse the order.")] = False,
    filters: Annotated[
        list[str],
        typer.Option(
            "--filter",
            metavar="KEY=VALUE",
            autocompletion=complete_filter,
            help="Only runs that match: label=Adam, optimizer.lr=0.01, 'accuracy>0.6 and not tag=old'. Fields are the "
            "columns, tag, note and settings. A value may have *. Repeatable.",
        ),
    ] = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """List the runs in the results folder, or its arms."""
    from cifar_lab.cli.inspect_output import print_list
    from cifar_lab.cli.selection import Selection

    print_list(results, Selection.of(filters, sort, reverse, arms=arms), arms=arms, as_json=as_json)


def show(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="First characters of a run id, a label, a settings file or a sweep.",
            autocompletion=complete_name,
        ),
    ],
    results: Results = DEFAULT_RESULTS,
    overrides: Overrides = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Show a run, arm or sweep: settings, learning curve, accuracy and confusion per class, or all runs of an arm."""
    from cifar_lab.cli.show_output import print_target

    print_target(results, run, overrides, as_json=as_json)


CODE_RUNS = (
    "`cifar-lab run` executes the model code that a settings.yaml names; if these results came from others, read "
    "settings.yaml and that code first"
)
"""Warning before a command that makes a run again."""


def verify(results: Results = DEFAULT_RESULTS) -> None:
    """Compare every file of the results with its checksum.

    Damaged files are named and set aside, so that the next `run` replaces them. The command then exits with 3.
    """
    from cifar_lab.config.io.load import recorded_settings_text
    from cifar_lab.core.errors import DataError
    from cifar_lab.core.terminal import say
    from cifar_lab.core.text import count, plain
    from cifar_lab.data import cache
    from cifar_lab.store.results import existing_results
    from cifar_lab.store.verify import verify_results

    settings_of = lambda record: recorded_settings_text(record.settings, record.seed)  # noqa: E731
    found = verify_results(existing_results(results), settings_of)
    for line in found.notes:
        say(f"note: {plain(line)}")
    # Damaged images are only named: they are prepared again on their next use.
    images = [cache.damage(meta.parent) for meta in sorted(cache.home().glob("*/meta.json"))]
    damage = [
        *found.damage,
        *(f"{fault}; the images are prepared again when they are used" for fault in images if fault),
    ]
    if found.damage:  # a stranger's results are checked before anything of theirs is run
        say(f"note: {CODE_RUNS}", sys.stderr)
    for line in damage:
        say(f"cifar-lab: {plain(line)}", sys.stderr)
    files = found.files + len(images)
    say(f"{count(found.runs, 'run')}, {count(files, 'file')} read: {len(damage) or 'none'} damaged")
    if damage:
        raise typer.Exit(DataError.exit_code)
