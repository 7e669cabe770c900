"""What `sweep` prints: the plan of a dry run, and the winners."""

from __future__ import annotations

from statistics import fmean

from rich.table import Table

from cifar_lab.cli.columns import Columns
from cifar_lab.cli.tables import STATE_WORDS, console, print_arms, safe
from cifar_lab.core.text import count
from cifar_lab.studies.search import SearchState
from cifar_lab.studies.search_messages import estimate_lines
from cifar_lab.studies.space import Point
from cifar_lab.studies.sweep import Sweep, SweepOutcome, SweepStatus


def print_sweep_plan(sweep: Sweep, outlook: SweepStatus) -> None:
    """What a sweep comes to: its points and what of them is there, what follows, what the rest will take."""
    out, expansion, found, step = console(), sweep.expansion, outlook.found, outlook.step
    proposed = f"{count(expansion.proposals, 'proposal')} by {sweep.search.method}" if expansion.proposals else ""
    parts = [proposed] if proposed else []
    parts += [count(len(expansion.points), "point")] if expansion.points else []
    parts += [f"{count(expansion.duplicates, 'duplicate')} merged"] if expansion.duplicates else []
    parts += [f"{expansion.excluded} excluded"] if expansion.excluded else []
    out.print(f"{safe(sweep.name)}: {', '.join(parts)}")
    states = _states(outlook)
    table = Columns("point", "state")
    for point in found.points:
        table.add(point.name, states.get(point.settings.label) or _through(found, point))
    table.print(out)
    if step is None or outlook.estimate is None:
        out.print("the search is over; without --dry-run its winners are trained with fresh seeds and tested")
        return
    if outlook.planned is None:
        out.print("the data has not been prepared yet, so no run can be there")
    for line in estimate_lines(found, step, outlook.planned, outlook.estimate, sweep.search):
        out.print(line, soft_wrap=True)


def _states(outlook: SweepStatus) -> dict[str, str]:
    """Label of each point of the step that comes next → what of it is there, of several seeds the least."""
    if outlook.step is None:
        return {}
    states = {arm.label: "to train" for arm in outlook.step.arms}
    for run in sorted(outlook.planned or (), key=lambda run: list(STATE_WORDS).index(run.state)):
        states[run.job.settings.label] = STATE_WORDS[run.state]
    return states


def _through(found: SearchState, point: Point) -> str:
    if point.name in found.pruned:
        return f"pruned after epoch {found.pruned[point.name]}"
    accuracies = found.tried[point.name].val_accuracies
    diverged = accuracies.count(None)
    if diverged == len(accuracies):
        return "diverged"
    told = f", {diverged} of {len(accuracies)} diverged" if diverged else ""
    return f"there already ({fmean(value for value in accuracies if value is not None):.4f}{told})"


def print_outcome(sweep: Sweep, outcome: SweepOutcome) -> None:
    """The winners by validation accuracy, then what the test split says of them."""
    out = console()
    out.print("\nbest by validation accuracy:")
    if outcome.winners:
        table = Table(box=None, pad_edge=False)
        table.add_column("rank", justify="right")
        table.add_column("point")
        table.add_column("validation", justify="right")
        for winner in outcome.winners:
            table.add_row(str(winner.rank), safe(winner.point.name), f"{winner.val_accuracy:.4f}")
        out.print(table)
    else:
        out.print("no point ended with finite numbers, so there is no winner")
    runs = outcome.runs
    pruned = len(outcome.found.pruned)
    told = f"; {count(pruned, 'point')} of {len(outcome.found.points)} pruned before the last epoch" if pruned else ""
    out.print(f"search: {count(runs.searched, 'run')}, {runs.failed} failed, {runs.diverged} diverged{told}")
    failed = [each for each in outcome.searched.outcomes if each.status == "failed"]
    if failed:
        out.print(f"the first that failed: {safe(failed[0].job.name)}: {safe(failed[0].reason or '')}")
    out.print("\ntrained again with fresh seeds, then tested:")
    print_arms(sweep.confirm_arms(outcome.winners), outcome.confirmed)
