"""Search of a sweep: batches of points, trained rung by rung and compared by validation accuracy alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cifar_lab.config import Settings
from cifar_lab.config.sheets import Search
from cifar_lab.core.errors import DataError
from cifar_lab.execution.context import RunContext
from cifar_lab.execution.plan import PlannedRun, run_ids_of
from cifar_lab.execution.runner import RunBatch, make_runs, preview_runs, read_planned
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder
from cifar_lab.studies.space.groups import by_group
from cifar_lab.studies.space.methods import Method, kept_points, rung_epochs
from cifar_lab.studies.space.points import Point, PointResult
from cifar_lab.studies.space.race import Races
from cifar_lab.studies.space.winners import SearchRuns, pick_winners, search_settings


@dataclass
class SearchState:
    """Points of a search and their results so far."""

    points: list[Point] = field(default_factory=list)
    """In the order of proposal."""
    results: dict[str, PointResult] = field(default_factory=dict)
    """Result by point name, from the last rung that the point reached."""
    pruned: dict[str, int] = field(default_factory=dict)
    """Epoch after which a point was pruned, by point name."""
    batches: list[RunBatch] = field(default_factory=list)
    """Runs of each step."""
    races: Races | None = None
    """Race of each group. None without `search.racing`."""
    seeds: dict[str, int] = field(default_factory=dict)
    """Number of seeds of the search that a point has or trains with, by name. Empty without `search.racing`."""

    @property
    def accuracies(self) -> dict[str, Sequence[float | None]]:
        """Validation accuracy per run, by name of each point that was not left out. None for a run that diverged."""
        out = {*self.pruned, *self.dropped}
        return {name: result.val_accuracies for name, result in self.results.items() if name not in out}

    @property
    def dropped(self) -> Mapping[str, int]:
        """Number of seeds after which a race dropped a point, by name."""
        return self.races.dropped if self.races is not None else {}

    @property
    def runs(self) -> RunBatch:
        """Runs of all steps as one batch, each with its last outcome and record."""
        planned = {run.job.run_id: run for batch in self.batches for run in batch.planned}
        outcomes = {outcome.job.run_id: outcome for batch in self.batches for outcome in batch.outcomes}
        records = {record.run_id: record for batch in self.batches for record in batch.records}
        return RunBatch(list(planned.values()), list(outcomes.values()), list(records.values()))

    @property
    def run_counts(self) -> SearchRuns:
        """Number of runs, of failed and of diverged ones."""
        runs = self.runs
        failed = sum(outcome.status == "failed" for outcome in runs.outcomes)
        diverged = sum(record.status == "diverged" for record in runs.records)
        return SearchRuns(len(runs.planned), failed, diverged)


@dataclass(frozen=True)
class SearchStep:
    """One batch of points on one rung."""

    arms: Sequence[Settings]
    """Settings to train, one per point."""
    rung: int
    """Counted from 0."""
    rungs: Sequence[int]
    """Epochs after which points are compared. The last is the end of training."""
    trials_left: int
    """Trials after this batch."""
    runs_after: tuple[int, int] = (0, 0)
    """Fewest and most runs of the steps after this one in a race."""

    @property
    def until_epoch(self) -> int | None:
        """Epoch after which the runs pause. None on the last rung."""
        return None if self.rung == len(self.rungs) - 1 else self.rungs[self.rung]

    @property
    def epochs_before(self) -> int:
        """Epochs trained on the rungs before."""
        return self.rungs[self.rung - 1] if self.rung else 0


GetRuns = Callable[[SearchState, SearchStep], RunBatch | None]
"""Makes or reads the runs of a step. None ends the search there."""


def run_search(
    method: Method,
    search: Search,
    context: RunContext,
    get_runs: GetRuns,
    after_step: Callable[[SearchState, SearchStep], object] = lambda *_: None,
) -> SearchState:
    """Take all points that the method proposes through their rungs, until `get_runs` returns None.

    Args:
        after_step: called when the points of a step have been compared.
    """
    state = SearchState()
    while batch := method.propose(state.results):
        state.points += batch
        if search.racing is not None:
            if not _race(state, batch, search, context, get_runs, after_step):
                return state
            continue
        remaining: Sequence[Point] = batch
        rungs = rung_epochs(batch[0].settings.epochs, search.halving) if search.halving else [0]
        for rung in range(len(rungs)):
            arms = [search_settings(point.settings, search) for point in remaining]
            step = SearchStep(arms, rung, rungs, method.trials_left)
            runs = get_runs(state, step)
            if runs is None:
                return state
            state.batches.append(runs)
            remaining = _promote(state, remaining, _results(remaining, step, runs, context), search, step.until_epoch)
            after_step(state, step)
            if not remaining:
                break
    return state


def _race(
    state: SearchState,
    points: Sequence[Point],
    search: Search,
    context: RunContext,
    get_runs: GetRuns,
    after_step: Callable[[SearchState, SearchStep], object],
) -> bool:
    """Race the points seed by seed. False where `get_runs` returned None."""
    races = state.races = Races(points, search)
    by_name = {point.name: point for point in points}
    while names := races.next_points():
        left, arms = races.runs_left(), []
        for name in names:
            before = races.seeds_before(name)
            state.seeds[name] = before + 1
            settings = search_settings(by_name[name].settings, search)
            arms.append(settings.model_copy(update={"seeds": (search.seeds[before],)}))
        step = SearchStep(arms, 0, [0], 0, (left[0] - len(arms), left[1] - len(arms)))
        runs = get_runs(state, step)
        if runs is None:
            return False
        state.batches.append(runs)
        results = _results([by_name[name] for name in names], step, runs, context)
        for name, result in results.items():
            earlier = state.results[name].val_accuracies if name in state.results else ()
            state.results[name] = replace(result, val_accuracies=(*earlier, *result.val_accuracies))
        races.add({name: result.val_accuracies for name, result in results.items()})
        after_step(state, step)
    return True


def finished_step(context: RunContext, step: SearchStep) -> RunBatch | None:
    """Read the runs of a step that is complete. None where any run is missing."""
    planned = preview_step(context, step)
    if planned is None or any(run.state != "done" for run in planned):
        return None
    return RunBatch(planned, [], read_planned(planned))


def preview_step(context: RunContext, step: SearchStep) -> list[PlannedRun] | None:
    """Plan the runs of a step without making them. None before its images are prepared."""
    return preview_runs(step.arms, _step_context(context, step), read_test=False, until_epoch=step.until_epoch)


def make_step(context: RunContext, step: SearchStep, on_plan: Callable[[Sequence[PlannedRun]], object]) -> RunBatch:
    """Make the missing runs of a step.

    Raises:
        LabError, Interrupted: as `make_runs`.
    """
    step_context = _step_context(context, step)
    return make_runs(step.arms, step_context, read_test=False, until_epoch=step.until_epoch, on_plan=on_plan)


def _step_context(context: RunContext, step: SearchStep) -> RunContext:
    # `force` discards runs on the first rung alone: the later rungs resume what it trained.
    return replace(context, force=context.force and step.rung == 0)


def _results(points: Sequence[Point], step: SearchStep, runs: RunBatch, context: RunContext) -> dict[str, PointResult]:
    """Result of each point at the end of the step, by name."""
    records = {record.run_id: record for record in runs.records}
    planned = {(id(run.job.settings), run.job.seed): run.job.run_id for run in runs.planned}

    def run_ids(arm: Settings) -> list[str]:
        # A run that two arms share is planned under the first of them.
        ids = [planned[id(arm), seed] for seed in arm.seeds if (id(arm), seed) in planned]
        return ids if len(ids) == len(arm.seeds) else run_ids_of(arm, context.images)

    results = {}
    for point, arm in zip(points, step.arms, strict=True):
        accuracies = [
            accuracy
            for run_id in run_ids(arm)
            for accuracy in _val_accuracy(RunFolder(context.results, run_id), records.get(run_id), step.until_epoch)
        ]
        results[point.name] = PointResult(point, tuple(accuracies))
    return results


def _val_accuracy(folder: RunFolder, record: Record | None, until_epoch: int | None) -> list[float | None]:
    """Validation accuracy of a run after an epoch or at its end, in a list. Empty for a run that failed.

    Raises:
        DataError: the metrics of a finished run are incomplete.
    """
    if until_epoch is None:
        return [] if record is None else [record.val.accuracy if record.val else None]
    history = folder.read_metrics()
    if len(history) >= until_epoch:
        return [history[until_epoch - 1].val_accuracy]
    if record is not None and record.status == "done":
        raise DataError(f"{folder.metrics}: lacks epochs; retrain the run with --force")
    return [] if record is None else [None]


def _promote(
    state: SearchState,
    points: Sequence[Point],
    results: Mapping[str, PointResult],
    search: Search,
    until_epoch: int | None,
) -> list[Point]:
    """Record the results and return the points of the next rung, in order. The other points are complete or pruned."""
    state.results |= results
    if until_epoch is None or search.halving is None:
        return []
    accuracies = {name: result.val_accuracies for name, result in results.items()}
    kept: set[str] = set()
    for group in by_group(points, search).values():
        ranked = pick_winners(group, accuracies, len(group))
        best = {winner.point.name for winner in ranked[: kept_points(len(group), search.halving, search.kept)]}
        state.pruned |= {each.point.name: until_epoch for each in ranked if each.point.name not in best}
        kept |= best
    return [point for point in points if point.name in kept]
