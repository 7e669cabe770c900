"""`cifar-lab run` and `cifar-lab quickstart`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cifar_lab.cli.completion import complete_file
from cifar_lab.cli.conversion import (
    exit_code,
    make_display,
    open_context,
    policy_of,
    short_overrides,
    trials_of,
    try_models,
)
from cifar_lab.cli.named_arms import load_arms
from cifar_lab.cli.options import (
    DEFAULT_RESULTS,
    TRAIN_PANEL,
    Address,
    BatchSize,
    Device,
    DryRun,
    EngineChoice,
    Epochs,
    FailFast,
    Force,
    Json,
    Lab,
    LearningRate,
    MaxFailures,
    Mirrors,
    NoTrial,
    Overrides,
    Questions,
    Quiet,
    Results,
    Resume,
    Retries,
    Retry,
    RetryChoice,
    RunTimeout,
    Seeds,
    Strict,
    TimeLimit,
    TrialTimeout,
    Verbose,
    Wait,
    Workers,
    flag,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cifar_lab.cli.output import Output
    from cifar_lab.config import Settings
    from cifar_lab.execution.context import RunContext
    from cifar_lab.execution.runner import RunBatch


def run(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE", help="Settings files, one per arm.", show_default=False, autocompletion=complete_file
        ),
    ] = [],  # noqa: B006
    overrides: Overrides = [],  # noqa: B006
    seeds: Seeds = [],  # noqa: B006
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    lr: LearningRate = None,
    device: Device = None,
    results: Results = DEFAULT_RESULTS,
    force: Force = False,
    dry_run: DryRun = False,
    no_trial: NoTrial = False,
    wait: Wait = False,
    trial_timeout: TrialTimeout = None,
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
    whole_lab: Annotated[
        bool, flag("--all", help="All questions of the lab file, including its sweeps.", panel=TRAIN_PANEL)
    ] = False,
    lab: Lab = None,
    until_decided: Annotated[
        bool,
        flag("--until-decided", help="Add seeds at planned looks until the questions are answered.", panel=TRAIN_PANEL),
    ] = False,
    max_seeds: Annotated[
        int,
        typer.Option(
            "--max-seeds",
            min=3,
            max=1000,
            metavar="N",
            rich_help_panel=TRAIN_PANEL,
            help="Stop --until-decided at this many seeds per arm.",
        ),
    ] = 20,
    mirrors: Mirrors = [],  # noqa: B006
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: Json = False,
    resume: Resume = False,
) -> None:
    """Train every arm with each of its seeds. Runs that already exist are skipped.

    Interrupted runs resume from their last checkpoint.
    Several commands may use one results folder: runs that another command trains are skipped, or awaited with --wait.
    Press Ctrl-C once to stop after the current epoch, twice to stop immediately.
    """
    from cifar_lab.execution.local.early_worker import early_worker  # before what takes long to import

    with early_worker(results, begins=engine == "here" and not dry_run, force=force) as first:
        from cifar_lab.cli.output import Output
        from cifar_lab.execution.context import RunContext

        out = Output("run", as_json=as_json)
        overrides = [*overrides, *short_overrides(epochs, batch_size, lr, device)]
        policy = policy_of(retries, retry, max_failures, fail_fast, time_limit, run_timeout, wait=wait)
        context = RunContext(
            results, force=force, workers=workers, policy=policy, trials=trials_of(no_trial, trial_timeout)
        )
        opened = partial(open_context, context, engine, address, mirrors, quiet=quiet, verbose=verbose, first=first)
        if question or whole_lab or until_decided or not files:
            from cifar_lab.analysis.questions import lab_file
            from cifar_lab.cli.questions import RunRequest, preview_questions, run_questions

            request = RunRequest(
                files, question, whole_lab, lab_file(lab), overrides, seeds, max_seeds if until_decided else None, out
            )
            asked = request.ask(force)
            if dry_run:
                preview_questions(request, asked, context)
                out.close()
                return
            with opened() as working:
                code = run_questions(request, asked, working, strict=strict)
            out.close()
            raise typer.Exit(code)
        arms = load_arms(files, overrides, seeds)
        if dry_run:
            _preview(arms, context, out)
            _print_next(out, files, overrides, seeds, results, lab)
            out.close()
            return
        with opened() as working:
            runs = _make_and_print(arms, working, out)
        if not runs.exit_code:
            _print_next(out, files, overrides, seeds, results, lab, made=(arms, runs))
        out.close()
        raise typer.Exit(exit_code([runs]))


def _print_next(out: Output, *command: Any, made: tuple[Sequence[Settings], RunBatch] | None = None) -> None:
    """Print the command that leads on to the answer.

    Args:
        command: arguments of `NextStep`.
        made: arms and runs. None before they are made.
    """
    from cifar_lab.cli.next_step import NextStep  # the analysis, which no worker should wait for

    step = NextStep(*command)
    out.next(step.before_run() if made is None else step.after_run(*made))


def _preview(arms: Sequence[Settings], context: RunContext, out: Output) -> None:
    from cifar_lab.cli.tables import print_plan
    from cifar_lab.execution.runner import preview_runs

    try_models(arms, context)
    print_plan(arms, preview_runs(arms, context), out)


def _make_and_print(arms: Sequence[Settings], context: RunContext, out: Output) -> RunBatch:
    from cifar_lab.execution.runner import make_runs

    runs = make_runs(arms, context)
    from cifar_lab.cli.tables import print_arms  # after the workers have begun

    print_arms(arms, runs, out)
    return runs


def quickstart(
    results: Results = DEFAULT_RESULTS / "quickstart",
    quiet: Quiet = False,
) -> None:
    """Run a first experiment in under a minute, on synthetic images: three arms, three seeds, one chart."""
    from importlib.resources import as_file, files

    from cifar_lab.cli.output import Output
    from cifar_lab.config.io.sheet_files import load_sheet, sheet_file
    from cifar_lab.config.sheets import LabSheet
    from cifar_lab.core.terminal import say, say_wrapped
    from cifar_lab.execution.context import RunContext
    from cifar_lab.report.build import build_report

    with as_file(files("cifar_lab.cli") / "quickstart") as folder:
        path = folder / "lab.yaml"
        sheet = load_sheet(path, LabSheet)
        names = [sheet.control, *(arm for question in sheet.questions.values() for arm in question.arms)]
        arms = load_arms([sheet_file(path, name) for name in names], [], [])
        out = Output("quickstart")
        runs = _make_and_print(arms, RunContext(results, display=make_display(quiet=quiet)), out)
        if code := exit_code([runs]):
            raise typer.Exit(code)
        report = build_report(path, results)
    name, question = next(iter(sheet.questions.items()))
    say("")
    say(question.title)
    for line in report.lines:
        if line.startswith((f"{name}: ", "  ")):
            say_wrapped(line.removeprefix(f"{name}: "))
    say("")
    for chart in report.charts:
        say(f"chart: {chart}")
    say(f"the answer with tables and charts: {report.files[0]}")
    say("The same with real images (CIFAR-10 is downloaded once):")
    out.next(["run", "configs/baseline.yaml", "configs/q3_adam.yaml"])
