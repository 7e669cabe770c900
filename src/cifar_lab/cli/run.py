"""`cifar-lab run` and `cifar-lab quickstart`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cifar_lab.cli.options import (
    DEFAULT_RESULTS,
    Address,
    DryRun,
    EngineChoice,
    FailFast,
    Force,
    Lab,
    MaxFailures,
    Mirrors,
    Overrides,
    Questions,
    Results,
    Retries,
    Retry,
    RetryChoice,
    RunTimeout,
    Seeds,
    Strict,
    TimeLimit,
    Workers,
    exit_code,
    load_arms,
    make_display,
    open_context,
    policy_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cifar_lab.config import Settings
    from cifar_lab.execution.context import RunContext
    from cifar_lab.execution.runner import RunBatch


def run(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Settings files, one an arm.")] = [],  # noqa: B006
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
    question: Questions = [],  # noqa: B006
    whole_lab: Annotated[bool, typer.Option("--all", help="All questions of the lab sheet, its sweeps too.")] = False,
    lab: Lab = Path("configs/lab.yaml"),
    until_decided: Annotated[
        bool,
        typer.Option("--until-decided", help="Add seeds to the questions, at planned looks, until they are answered."),
    ] = False,
    max_seeds: Annotated[
        int, typer.Option("--max-seeds", min=3, max=1000, help="The last look of --until-decided, in seeds an arm.")
    ] = 20,
    mirrors: Mirrors = [],  # noqa: B006
) -> None:
    """Train each arm over its seeds: what is missing, and nothing twice.

    A run that was stopped, killed or given up goes on after its last epoch. Ctrl-C once ends after the epoch, twice at
    once.
    """
    from cifar_lab.execution.context import RunContext

    policy = policy_of(retries, retry, max_failures, fail_fast, time_limit, run_timeout)
    context = RunContext(results, force=force, workers=workers, policy=policy)
    if question or whole_lab or until_decided or not files:
        from cifar_lab.cli.questions import RunRequest, preview_questions, run_questions

        request = RunRequest(files, question, whole_lab, lab, overrides, seeds, max_seeds if until_decided else None)
        asked = request.ask(force)
        if dry_run:
            preview_questions(request, asked, context)
            return
        with open_context(context, engine, address, mirrors) as working:
            code = run_questions(request, asked, working, strict=strict)
        raise typer.Exit(code)
    arms = load_arms(files, overrides, seeds)
    if dry_run:
        _preview(arms, context)
        return
    with open_context(context, engine, address, mirrors) as working:
        runs = _make_and_print(arms, working)
    raise typer.Exit(exit_code([runs]))


def _preview(arms: Sequence[Settings], context: RunContext) -> None:
    from cifar_lab.cli.tables import print_plan
    from cifar_lab.execution.runner import preview_runs

    print_plan(arms, preview_runs(arms, context))


def _make_and_print(arms: Sequence[Settings], context: RunContext) -> RunBatch:
    from cifar_lab.cli.tables import print_arms
    from cifar_lab.execution.runner import make_runs

    runs = make_runs(arms, context)
    print_arms(arms, runs)
    return runs


def quickstart(
    results: Results = DEFAULT_RESULTS / "quickstart",
) -> None:
    """A first experiment in under a minute, on made-up images: three arms, three seeds, one chart."""
    from importlib.resources import as_file, files

    from cifar_lab.config.io.sheet_files import load_sheet, sheet_file
    from cifar_lab.config.sheets import LabSheet
    from cifar_lab.execution.context import RunContext
    from cifar_lab.progress.lines import say
    from cifar_lab.report.build import build_report

    with as_file(files("cifar_lab.cli") / "quickstart") as folder:
        path = folder / "lab.yaml"
        sheet = load_sheet(path, LabSheet)
        names = [sheet.control, *(arm for question in sheet.questions.values() for arm in question.arms)]
        arms = load_arms([sheet_file(path, name) for name in names], [], [])
        runs = _make_and_print(arms, RunContext(results, display=make_display()))
        if code := exit_code([runs]):
            raise typer.Exit(code)
        report = build_report(path, results)
    for chart in report.charts:
        say(f"chart: {chart}")
    say(f"the answer in words, tables and charts: {report.files[0]}")
    say(f"The same on real images: cifar-lab run {Path('configs/q3_adam.yaml')}, then cifar-lab report")
