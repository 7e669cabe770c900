"""`cifar-lab sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cifar_lab.cli.limits import FailFast, MaxFailures, Retries, Retry, RetryChoice, RunTimeout, TimeLimit, policy_of
from cifar_lab.cli.options import (
    DEFAULT_RESULTS,
    Address,
    DryRun,
    EngineChoice,
    Force,
    Mirrors,
    Overrides,
    Results,
    Seeds,
    Strict,
    Workers,
    at_work,
    parse_seeds,
)

if TYPE_CHECKING:
    from cifar_lab.studies.sweep import Sweep


def sweep(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The sweep file.")],
    overrides: Overrides = [],  # noqa: B006
    seeds: Seeds = [],  # noqa: B006
    results: Results = DEFAULT_RESULTS,
    force: Force = False,
    dry_run: DryRun = False,
    workers: Workers = None,
    strict: Strict = False,
    retries: Retries = 1,
    retry: Retry = RetryChoice.FAILED,
    max_failures: MaxFailures = None,
    fail_fast: FailFast = False,
    time_limit: TimeLimit = None,
    run_timeout: RunTimeout = None,
    engine: EngineChoice = "here",
    address: Address = None,
    mirrors: Mirrors = [],  # noqa: B006
    allow_failed: Annotated[
        bool, typer.Option("--allow-failed", help="Pick winners also where runs of the search failed.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Accept more than 10,000 points.")] = False,
    export_optuna: Annotated[
        Path | None,
        typer.Option("--export-optuna", metavar="FILE", help="Write what is there for Optuna's dashboard; do no more."),
    ] = None,
) -> None:
    """Search many arms by validation accuracy, then train the winners with fresh seeds and test only them.

    Give the same command again after an interruption: what is there is not made twice. --set changes the base,
    --seeds the seeds of the search. Where a run of the search fails, nothing is tested.
    """
    from cifar_lab.cli.sweep_tables import print_outcome, print_sweep_plan
    from cifar_lab.execution.context import RunContext
    from cifar_lab.progress.lines import say
    from cifar_lab.store.locks import one_writer
    from cifar_lab.studies.sweep import load_sweep, look_at_sweep, make_sweep

    policy = policy_of(retries, retry, max_failures, fail_fast, time_limit, run_timeout)
    context = RunContext(results, force=force, workers=workers, policy=policy)
    loaded = load_sweep(file, overrides, parse_seeds(seeds) if seeds else None, allow_large=yes)
    if export_optuna is not None:
        _export(loaded, results, export_optuna)
        return
    if dry_run:
        print_sweep_plan(loaded, look_at_sweep(loaded, context))
        return
    with one_writer(results), at_work(context, engine, address, mirrors) as working:
        outcome = make_sweep(loaded, working, allow_failed=allow_failed, say=say)
        print_outcome(loaded, outcome)
        if outcome.confirmed.records:
            from cifar_lab.report.build import draw_sweep  # matplotlib, which the parent of the runs need not hold

            for line in draw_sweep(results, loaded.name):
                say(line)
    made = (outcome.searched, outcome.confirmed)
    diverged = any(record.status == "diverged" for part in made for record in part.records)
    raise typer.Exit(max(part.exit_code for part in made) or int(strict and diverged))


def _export(loaded: Sweep, results: Path, path: Path) -> None:
    from cifar_lab.core.text import count
    from cifar_lab.progress.lines import say
    from cifar_lab.studies.optuna_export import export_optuna

    trials = export_optuna(loaded, results, path)
    say(f"wrote {path}: {count(trials, 'trial')}; to look at it: optuna-dashboard sqlite:///{path}")
