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
from cifar_lab.core.text import count, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cifar_lab.execution.context import RunContext
    from cifar_lab.studies.run_sweep import SweepOutcome, SweepStatus
    from cifar_lab.studies.search import SearchState
    from cifar_lab.studies.space.points import Point
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
            try_models([point.settings for point in loaded.expansion.points], context)
            _print_status(loaded, sweep_status(loaded, context))
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
    from cifar_lab.core.terminal import say
    from cifar_lab.studies.run_sweep import make_sweep

    outcome = make_sweep(loaded, context, allow_failed=allow_failed, say=lambda line: say(line, sys.stderr))
    _print_outcome(loaded, outcome)
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


def _print_status(sweep: Sweep, status: SweepStatus) -> None:
    """Print the points of a sweep with their states, and the estimate of the remaining steps."""
    from cifar_lab.cli.text_table import TableColumn, TextTable
    from cifar_lab.core.terminal import console
    from cifar_lab.studies.run_sweep import estimate_lines

    out = console()
    out.print(f"{plain(sweep.name)}: {_expansion_words(sweep)}")
    states = _step_states(status)
    table = TextTable(TableColumn("point"), TableColumn("state"))
    for point in status.state.points:
        table.add(point.name, _point_words(status, point, states.get(point.settings.label, "")))
    table.print(out)
    if status.step is None or status.estimate is None:
        out.print("the search is over; without --dry-run its winners are trained with fresh seeds and tested")
        return
    if status.planned is None:
        out.print("the images have not been prepared yet, so it is not known which runs already exist")
    for line in estimate_lines(status.state, status.step, status.planned, status.estimate, sweep.search):
        out.print(line, soft_wrap=True)


def _expansion_words(sweep: Sweep) -> str:
    expansion = sweep.expansion
    words = [f"{count(expansion.trials, 'proposal')} by {sweep.search.method}"] if expansion.trials else []
    words += [count(len(expansion.points), "point")] if expansion.points else []
    words += [f"{count(expansion.duplicates, 'duplicate')} merged"] if expansion.duplicates else []
    words += [f"{expansion.excluded} excluded"] if expansion.excluded else []
    return ", ".join(words)


def _step_states(status: SweepStatus) -> dict[str, str]:
    """State of each point of the next step by label. The least complete of its seeds counts."""
    from cifar_lab.cli.tables import STATE_WORDS

    if status.step is None:
        return {}
    states = {arm.label: "to train" for arm in status.step.arms}
    for run in sorted(status.planned or (), key=lambda run: list(STATE_WORDS).index(run.state)):
        states[run.job.settings.label] = STATE_WORDS[run.state]
    return states


def _point_words(status: SweepStatus, point: Point, next_state: str) -> str:
    """Result of a point so far, and the state of its runs of the next step."""
    if point.name not in status.state.results:
        return next_state
    if status.state.races is None:
        return next_state or _result_words(status.state, point)
    words = _race_words(status.state, point)
    return f"{words}; next seed: {next_state}" if next_state else words


def _race_words(state: SearchState, point: Point) -> str:
    """Result of a point of a race, and whether it may still win."""
    from statistics import fmean

    accuracies = state.results[point.name].val_accuracies
    finite = [value for value in accuracies if value is not None]
    seeds, behind = count(len(accuracies), "seed"), state.races.behind(point.name) if state.races else None
    if point.name not in state.dropped:
        return f"in the race ({fmean(finite):.4f} over {seeds})" if finite else "diverged"
    if len(finite) < len(accuracies):
        return f"dropped after {seeds} (diverged)"
    if len(finite) < state.seeds[point.name]:
        return "dropped (a run failed)"
    return f"dropped after {seeds} ({fmean(finite):.4f}, {100 * (behind or 0.0):.2f} pp behind the leader)"


def _result_words(state: SearchState, point: Point) -> str:
    from statistics import fmean

    if point.name in state.pruned:
        return f"pruned after epoch {state.pruned[point.name]}"
    accuracies = state.results[point.name].val_accuracies
    diverged = accuracies.count(None)
    if diverged == len(accuracies):
        return "diverged"
    note = f", {diverged} of {len(accuracies)} diverged" if diverged else ""
    return f"already done ({fmean(value for value in accuracies if value is not None):.4f}{note})"


def _print_outcome(sweep: Sweep, outcome: SweepOutcome) -> None:
    """Print the winners by validation accuracy, then their test accuracies."""
    from cifar_lab.cli.tables import print_arms
    from cifar_lab.cli.text_table import TableColumn, TextTable
    from cifar_lab.core.terminal import console

    out = console()
    per = sweep.search.group_keys
    out.print(
        f"\nBest of each {' and '.join(per)} by validation accuracy:" if per else "\nBest by validation accuracy:"
    )
    if outcome.winners:
        groups = (TableColumn("group"), TableColumn("tries", right=True)) if per else ()
        columns = TableColumn("point"), TableColumn("validation accuracy", right=True)
        table = TextTable(TableColumn("rank", right=True), *groups, *columns)
        for winner in outcome.winners:
            of = (winner.group, winner.tried) if per else ()
            table.add(winner.rank, *of, winner.point.name, f"{winner.val_accuracy:.4f}")
        table.print(out)
    else:
        out.print("no point ended with finite numbers, so there is no winner")
    runs, pruned, points = outcome.run_counts, len(outcome.state.pruned), len(outcome.state.points)
    note = f"; {count(pruned, 'point')} of {points} pruned before the last epoch" if pruned else ""
    dropped = len(outcome.state.dropped)
    note += f"; {count(dropped, 'point')} of {points} dropped from the race" if dropped else ""
    out.print(f"search: {count(runs.searched, 'run')}, {runs.failed} failed, {runs.diverged} diverged{note}")
    failed = [each for each in outcome.search_runs.outcomes if each.status == "failed"]
    if failed:
        out.print(f"the first that failed: {plain(failed[0].job.name)}: {plain(failed[0].reason or '')}")
    out.print("\nTrained again with fresh seeds, then tested:")
    print_arms(sweep.confirm_arms(outcome.winners), outcome.confirmed)
