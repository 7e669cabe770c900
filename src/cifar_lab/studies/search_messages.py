"""What a search says of itself: what it will take, which points train now, who goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cifar_lab.config.sheets import Search
from cifar_lab.core.text import count
from cifar_lab.execution.estimate import Estimate
from cifar_lab.execution.plan import PlannedRun
from cifar_lab.studies.search import SearchState, SearchStep
from cifar_lab.studies.space import kept_points, pick_winners


def estimate_lines(
    found: SearchState, step: SearchStep, planned: Sequence[PlannedRun] | None, estimate: Estimate, search: Search
) -> Iterator[str]:
    """Runs, time, memory and disk, before the start.

    Args:
        planned: what of the step is there; None where its images have not been prepared, so that nothing can be.
    """
    runs, before = round(estimate.runs), {run.job.run_id for part in found.parts for run in part.planned}
    there = len(before | {run.job.run_id for run in planned or () if run.state == "done"})
    confirming = len(search.confirm_seeds) * (search.top + 1)
    at_most = "at most " if step.to_come else ""
    yield (
        f"estimate: {count(there + runs, 'run')} to search, {there:,} there already, {at_most}{runs:,} to train; then "
        f"at most {count(confirming, 'run')} for the base and the best {search.top}"
    )
    yield from estimate.lines()


def step_line(found: SearchState, step: SearchStep, search: Search) -> str:
    """Which points train now, and to which epoch."""
    points = count(len(step.arms), "point")
    if search.halving is None:
        made = len(found.points) - len(step.arms)
        return f"{search.method}: {points} after {made:,}, {step.to_come:,} proposals to come"
    rung = f"rung {step.rung + 1} of {len(step.rungs)}: {points}"
    if step.until_epoch is None:
        return f"{rung} to the last epoch, {step.rungs[-1]}"
    going = kept_points(len(step.arms), search.halving, search.top)
    return f"{rung} to epoch {step.until_epoch} of {step.rungs[-1]}; the best {going} go on"


def judged_line(found: SearchState, step: SearchStep) -> str:
    """Who goes on after a rung, who does not, and the best so far."""
    epoch = step.until_epoch
    pruned = sum(after == epoch for after in found.pruned.values())
    trained = len(step.arms)
    alive = [point for point in found.points if point.name not in found.pruned]
    accuracies = {point.name: found.tried[point.name].val_accuracies for point in alive}
    best = pick_winners(alive, accuracies, 1)
    finite = [point for point in alive if any(value is not None for value in accuracies[point.name])]
    lost = trained - pruned - len(finite)
    words = f"after epoch {epoch}: {count(len(finite), 'point')} of {trained} go on, {pruned} pruned"
    words += f", {lost} without a finite number" if lost > 0 else ""
    return words + (f"; best: {best[0].point.name} ({best[0].val_accuracy:.4f})" if best else "")
