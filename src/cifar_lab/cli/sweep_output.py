"""Output of `cifar-lab sweep`: the points with their states before a step, and the winners after the last."""

from __future__ import annotations

from statistics import fmean

from cifar_lab.cli.tables import STATE_WORDS, print_arms
from cifar_lab.cli.text_table import TableColumn, TextTable
from cifar_lab.core.terminal import console
from cifar_lab.core.text import count, plain
from cifar_lab.studies.run_sweep import SweepOutcome, SweepStatus, estimate_lines
from cifar_lab.studies.search import SearchState
from cifar_lab.studies.space.points import Point
from cifar_lab.studies.sweep import Sweep


def print_status(sweep: Sweep, status: SweepStatus) -> None:
    """Print the points of a sweep with their states, and the estimate of the remaining steps."""
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
    if point.name in state.pruned:
        return f"pruned after epoch {state.pruned[point.name]}"
    accuracies = state.results[point.name].val_accuracies
    diverged = accuracies.count(None)
    if diverged == len(accuracies):
        return "diverged"
    note = f", {diverged} of {len(accuracies)} diverged" if diverged else ""
    return f"already done ({fmean(value for value in accuracies if value is not None):.4f}{note})"


def print_outcome(sweep: Sweep, outcome: SweepOutcome) -> None:
    """Print the winners by validation accuracy, then their test accuracies."""
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
