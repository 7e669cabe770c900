"""`cifar-lab run` and `cifar-lab quickstart`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cifar_lab.cli.limits import FailFast, MaxFailures, Retries, Retry, RetryChoice, RunTimeout, TimeLimit, policy_of
from cifar_lab.cli.options import (
    DEFAULT_RESULTS,
    Address,
    DryRun,
    EngineChoice,
    Force,
    Overrides,
    Results,
    Seeds,
    Strict,
    Workers,
    display_here,
    load_arms,
)


def run(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Settings files, one an arm.")],
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
) -> None:
    """Train each arm over its seeds: what is missing, and nothing twice.

    A run that was stopped, killed or given up goes on after its last epoch. Ctrl-C once ends after the epoch, twice at
    once.
    """
    from cifar_lab.cli.tables import print_arms, print_plan
    from cifar_lab.engines.engine import open_engine
    from cifar_lab.laboratory import make_runs, preview_runs

    policy = policy_of(retries, retry, max_failures, fail_fast, time_limit, run_timeout)
    arms = load_arms(files, overrides, seeds)
    if dry_run:
        print_plan(arms, preview_runs(arms, results, force=force))
        return
    with open_engine(engine, address) as chosen:
        made = make_runs(
            arms, results, force=force, workers=workers, display=display_here(), policy=policy, engine=chosen
        )
    print_arms(arms, made)
    raise typer.Exit(made.exit_code or int(strict and any(record.status == "diverged" for record in made.records)))


def quickstart(
    results: Results = DEFAULT_RESULTS / "quickstart",
) -> None:
    """A first experiment in under a minute, on made-up images: three arms, three seeds, one chart."""
    from importlib.resources import as_file, files

    from cifar_lab.cli.tables import print_arms
    from cifar_lab.config_io import load_sheet, sheet_file
    from cifar_lab.laboratory import make_runs
    from cifar_lab.progress import say
    from cifar_lab.report.build import build_report
    from cifar_lab.sheets import LabSheet

    with as_file(files("cifar_lab") / "quickstart") as folder:
        path = folder / "lab.yaml"
        sheet = load_sheet(path, LabSheet)
        names = [sheet.control, *(arm for question in sheet.questions.values() for arm in question.arms)]
        arms = load_arms([sheet_file(path, name) for name in names], [], [])
        made = make_runs(arms, results, display=display_here())
        print_arms(arms, made)
        if made.exit_code:
            raise typer.Exit(made.exit_code)
        report = build_report(path, results)
    for chart in report.charts:
        say(f"chart: {chart}")
    say(f"The same on real images: cifar-lab run {Path('configs/q3_adam.yaml')}, then cifar-lab report")
