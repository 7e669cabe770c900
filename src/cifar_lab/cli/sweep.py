"""`cifar-lab sweep`."""

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
    MaxFailures,
    Mirrors,
    Overrides,
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
    open_context,
    parse_seeds,
    policy_of,
)
from cifar_lab.core.text import count, plain

if TYPE_CHECKING:
    from cifar_lab.execution.context import RunContext
    from cifar_lab.studies.run_sweep import SweepOutcome, SweepStatus
    from cifar_lab.studies.search import SearchState
    from cifar_lab.studies.space.points import Point
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
    from cifar_lab.execution.context import RunContext
    from cifar_lab.store.locks import one_writer
    from cifar_lab.store.results import existing_results
    from cifar_lab.studies.run_sweep import sweep_status
    from cifar_lab.studies.sweep import load_sweep

    policy = policy_of(retries, retry, max_failures, fail_fast, time_limit, run_timeout)
    context = RunContext(results, force=force, workers=workers, policy=policy)
    loaded = load_sweep(file, overrides, parse_seeds(seeds) if seeds else None, allow_large=yes)
    if export_optuna is not None:
        _export(loaded, existing_results(results), export_optuna)
        return
    if dry_run:
        _print_status(loaded, sweep_status(loaded, context))
        return
    with one_writer(results), open_context(context, engine, address, mirrors) as working:
        outcome = _make_and_print(loaded, working, allow_failed)
    raise typer.Exit(exit_code([outcome.search_runs, outcome.confirmed], diverged_counts=strict))


def _make_and_print(loaded: Sweep, context: RunContext, allow_failed: bool) -> SweepOutcome:
    """Run the sweep, print its winners and draw its charts."""
    from cifar_lab.progress.lines import say
    from cifar_lab.studies.run_sweep import make_sweep

    outcome = make_sweep(loaded, context, allow_failed=allow_failed, say=say)
    _print_outcome(loaded, outcome)
    if outcome.confirmed.records:
        from cifar_lab.report.build import draw_sweep  # matplotlib, which the parent of the runs need not hold

        for line in draw_sweep(context.results, loaded.name):
            say(line)
    return outcome


def _export(loaded: Sweep, results: Path, path: Path) -> None:
    from cifar_lab.progress.lines import say
    from cifar_lab.studies.optuna_export import export_optuna

    trials = export_optuna(loaded, results, path)
    say(f"wrote {path}: {count(trials, 'trial')}; to look at it: optuna-dashboard sqlite:///{path}")


def _print_status(sweep: Sweep, status: SweepStatus) -> None:
    """Print the points of a sweep with their states, and the estimate of the remaining steps."""
    from cifar_lab.cli.tables import Columns
    from cifar_lab.core.terminal import console
    from cifar_lab.studies.run_sweep import estimate_lines

    out = console()
    out.print(f"{plain(sweep.name)}: {_expansion_words(sweep)}")
    states = _step_states(status)
    table = Columns("point", "state")
    for point in status.state.points:
        table.add(point.name, states.get(point.settings.label) or _result_words(status.state, point))
    table.print(out)
    if status.step is None or status.estimate is None:
        out.print("the search is over; without --dry-run its winners are trained with fresh seeds and tested")
        return
    if status.planned is None:
        out.print("the data has not been prepared yet, so no run can be there")
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


def _result_words(state: SearchState, point: Point) -> str:
    from statistics import fmean

    if point.name in state.pruned:
        return f"pruned after epoch {state.pruned[point.name]}"
    accuracies = state.results[point.name].val_accuracies
    diverged = accuracies.count(None)
    if diverged == len(accuracies):
        return "diverged"
    note = f", {diverged} of {len(accuracies)} diverged" if diverged else ""
    return f"there already ({fmean(value for value in accuracies if value is not None):.4f}{note})"


def _print_outcome(sweep: Sweep, outcome: SweepOutcome) -> None:
    """Print the winners by validation accuracy, then their test accuracies."""
    from rich.table import Table

    from cifar_lab.cli.tables import print_arms
    from cifar_lab.core.terminal import console

    out = console()
    out.print("\nbest by validation accuracy:")
    if outcome.winners:
        table = Table(box=None, pad_edge=False)
        table.add_column("rank", justify="right")
        table.add_column("point")
        table.add_column("validation", justify="right")
        for winner in outcome.winners:
            table.add_row(str(winner.rank), plain(winner.point.name), f"{winner.val_accuracy:.4f}")
        out.print(table)
    else:
        out.print("no point ended with finite numbers, so there is no winner")
    runs, pruned, points = outcome.run_counts, len(outcome.state.pruned), len(outcome.state.points)
    note = f"; {count(pruned, 'point')} of {points} pruned before the last epoch" if pruned else ""
    out.print(f"search: {count(runs.searched, 'run')}, {runs.failed} failed, {runs.diverged} diverged{note}")
    failed = [each for each in outcome.search_runs.outcomes if each.status == "failed"]
    if failed:
        out.print(f"the first that failed: {plain(failed[0].job.name)}: {plain(failed[0].reason or '')}")
    out.print("\ntrained again with fresh seeds, then tested:")
    print_arms(sweep.confirm_arms(outcome.winners), outcome.confirmed)
