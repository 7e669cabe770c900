"""`cifar-lab sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cifar_lab.cli.options import (
    DEFAULT_RESULTS,
    DryRun,
    Force,
    Mirrors,
    Overrides,
    Results,
    Seeds,
    Strict,
    Workers,
    display_here,
    parse_seeds,
)


def sweep(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The sweep file.")],
    overrides: Overrides = [],  # noqa: B006
    seeds: Seeds = [],  # noqa: B006
    results: Results = DEFAULT_RESULTS,
    force: Force = False,
    dry_run: DryRun = False,
    workers: Workers = None,
    strict: Strict = False,
    mirrors: Mirrors = [],  # noqa: B006
    allow_failed: Annotated[
        bool, typer.Option("--allow-failed", help="Pick winners also where runs of the search failed.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Accept more than 10,000 points.")] = False,
) -> None:
    """Search many arms by validation accuracy, then train the winners with fresh seeds and test only them.

    Give the same command again after an interruption: what is there is not made twice. --set changes the base,
    --seeds the seeds of the search. Where a run of the search fails, nothing is tested.
    """
    from cifar_lab.cli.sweep_tables import print_outcome, print_sweep_plan
    from cifar_lab.progress import say
    from cifar_lab.report.build import draw_sweep
    from cifar_lab.sweep import load_sweep, make_sweep

    loaded = load_sweep(file, overrides, parse_seeds(seeds) if seeds else None, allow_large=yes)
    if dry_run:
        print_sweep_plan(loaded, results, force)
        return
    outcome = make_sweep(
        loaded, results, force=force, workers=workers, display=display_here(mirrors, results), allow_failed=allow_failed
    )
    print_outcome(loaded, outcome)
    if outcome.confirmed.records:
        say(f"chart: {draw_sweep(results, loaded.name)}")
    made = (outcome.searched, outcome.confirmed)
    diverged = any(record.status == "diverged" for part in made for record in part.records)
    raise typer.Exit(max(part.exit_code for part in made) or int(strict and diverged))
