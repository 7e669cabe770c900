"""`cifar-lab sweep`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cifar_lab.cli.completion import complete_file
from cifar_lab.cli.conversion import (
    exit_code,
    open_context,
    parse_seeds,
    policy_of,
    short_overrides,
    trials_of,
    try_models,
)
from cifar_lab.cli.options import (
    DEFAULT_RESULTS,
    LIMITS_PANEL,
    OUTPUT_PANEL,
    TRAIN_PANEL,
    Address,
    BatchSize,
    Device,
    DryRun,
    EngineChoice,
    Epochs,
    FailFast,
    Force,
    LearningRate,
    MaxFailures,
    Mirrors,
    NoTrial,
    Overrides,
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
from cifar_lab.core.text import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cifar_lab.execution.context import RunContext
    from cifar_lab.studies.run_sweep import SweepOutcome
    from cifar_lab.studies.sweep import Sweep


def sweep(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The sweep file.", autocompletion=complete_file)],
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
    mirrors: Mirrors = [],  # noqa: B006
    allow_failed: Annotated[
        bool, flag("--allow-failed", help="Choose winners although runs of the search failed.", panel=LIMITS_PANEL)
    ] = False,
    yes: Annotated[bool, flag("--yes", help="Accept more than 10,000 points.", panel=TRAIN_PANEL)] = False,
    export_optuna: Annotated[
        Path | None,
        typer.Option(
            "--export-optuna",
            metavar="FILE",
            rich_help_panel=OUTPUT_PANEL,
            help="Write the finished runs as an Optuna study and stop. Nothing is trained.",
        ),
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    resume: Resume = False,
) -> None:
    """Search many arms by validation accuracy, then train the winners with fresh seeds and test only them.

    After an interruption, run the same command again: finished runs are skipped.
    The same command in several terminals shares the runs, and each waits for the others where it needs their results.
    --set changes the settings of the control, --seeds the seeds of the search.
    If a run of the search fails, nothing is tested.
    """
    from cifar_lab.execution.local.early_worker import early_worker  # before what takes long to import

    trains = engine == "here" and not dry_run and export_optuna is None
    with early_worker(results, begins=trains, force=force) as first:
        from cifar_lab.cli.output import Output
        from cifar_lab.execution.context import RunContext
        from cifar_lab.store.results import existing_results
        from cifar_lab.store.writers import writing
        from cifar_lab.studies.run_sweep import sweep_status
        from cifar_lab.studies.sweep import load_sweep

        overrides = [*overrides, *short_overrides(epochs, batch_size, lr, device)]
        policy = policy_of(retries, retry, max_failures, fail_fast, time_limit, run_timeout, wait=wait)
        context = RunContext(
            results, force=force, workers=workers, policy=policy, trials=trials_of(no_trial, trial_timeout)
        )
        loaded = load_sweep(file, overrides, parse_seeds(seeds) if seeds else None, allow_large=yes)
        if export_optuna is not None:
            _export(loaded, existing_results(results), export_optuna)
            return
        if dry_run:
            from cifar_lab.cli.sweep_output import print_status

            try_models([point.settings for point in loaded.expansion.points], context)
            print_status(loaded, sweep_status(loaded, context))
            Output("sweep").next(_sweep_command(file, overrides, seeds, results))
            return
        opened = partial(open_context, context, engine, address, mirrors, quiet=quiet, verbose=verbose, first=first)
        with writing(results), opened() as working:
            outcome = _make_and_print(loaded, working, allow_failed)
        if not outcome.confirmed.exit_code:
            Output("sweep").next(_report_command(file, overrides, results, outcome))
        raise typer.Exit(exit_code([outcome.search_runs, outcome.confirmed], diverged_counts=strict))


def _sweep_command(file: Path, overrides: Sequence[str], seeds: Sequence[str], results: Path) -> list[str | Path]:
    """The command that makes the runs of the sweep."""
    from cifar_lab.analysis.arms import options

    return ["sweep", file, *(word for text in seeds for word in ("--seeds", text)), *options(results, overrides)]


def _report_command(file: Path, overrides: Sequence[str], results: Path, outcome: SweepOutcome) -> list[str | Path]:
    """The report that has the winners: of the lab file where it asks for them, else of the folder."""
    from cifar_lab.analysis.arms import options
    from cifar_lab.analysis.data_choice import SHORT
    from cifar_lab.analysis.folder_report import answer_folder, found_option
    from cifar_lab.analysis.questions import find_lab_file, lab_option
    from cifar_lab.core.errors import LabError

    path, images = find_lab_file(), {record.data.fingerprint for record in outcome.confirmed.records}
    try:
        if path is not None:
            lab = answer_folder(path, results, overrides)
            asked = {answer.sweep.sweep for answer in lab.answers if answer.sweep and not lab.is_found}
            if file.stem in asked:
                return ["report", *lab_option(path), *options(results, overrides)]
        data = answer_folder(None, results).data
    except LabError:
        return ["report", *options(results, ())]
    named = [] if data is None or data.fingerprint in images or not images else ["--data", min(images)[:SHORT]]
    return ["report", *found_option(), *named, *options(results, ())]


def _make_and_print(loaded: Sweep, context: RunContext, allow_failed: bool) -> SweepOutcome:
    """Run the sweep, print its winners and draw its charts."""
    from cifar_lab.cli.sweep_output import print_outcome
    from cifar_lab.core.terminal import say
    from cifar_lab.studies.run_sweep import make_sweep

    outcome = make_sweep(loaded, context, allow_failed=allow_failed, say=lambda line: say(line, sys.stderr))
    print_outcome(loaded, outcome)
    if outcome.confirmed.records:
        from cifar_lab.report.build import draw_sweep  # matplotlib, which the parent of the runs need not hold

        for line in draw_sweep(context.results, loaded.name):
            say(line)
    return outcome


def _export(loaded: Sweep, results: Path, path: Path) -> None:
    from cifar_lab.core.terminal import say
    from cifar_lab.studies.optuna_export import export_optuna

    trials = export_optuna(loaded, results, path)
    say(f"wrote {path}: {count(trials, 'trial')}; to view it: optuna-dashboard sqlite:///{path}")
