"""The search of a sweep: batch after batch of points, rung after rung of epochs, judged by validation alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cifar_lab.config import Settings
from cifar_lab.config.sheets import Search
from cifar_lab.core.errors import DataError
from cifar_lab.execution.context import RunContext
from cifar_lab.execution.plan import PlannedRun, run_ids_of
from cifar_lab.execution.runner import RunBatch, make_runs, preview_runs, read_planned
from cifar_lab.store.results import RunFolder
from cifar_lab.studies.space import (
    Method,
    Point,
    PointResult,
    SearchRuns,
    kept_points,
    pick_winners,
    rung_epochs,
    search_settings,
)


@dataclass
class SearchState:
    """What a search has come to, at its end or so far."""

    points: list[Point] = field(default_factory=list)
    """All that were tried, in order."""
    tried: dict[str, PointResult] = field(default_factory=dict)
    """Name of each point that is through → how it did; of one that was pruned, until then."""
    pruned: dict[str, int] = field(default_factory=dict)
    """Name of each point that others left behind → the epoch after which it was pruned."""
    parts: list[RunBatch] = field(default_factory=list)
    """What was made, rung by rung and batch by batch."""

    @property
    def accuracies(self) -> dict[str, Sequence[float | None]]:
        """Name of each point that was not pruned → validation accuracy of each of its runs; None where it diverged."""
        return {name: tried.val_accuracies for name, tried in self.tried.items() if name not in self.pruned}

    @property
    def made(self) -> RunBatch:
        """All parts as one, each run with what came of it last."""
        planned = {run.job.run_id: run for part in self.parts for run in part.planned}
        outcomes = {each.job.run_id: each for part in self.parts for each in part.outcomes}
        records = {record.run_id: record for part in self.parts for record in part.records}
        return RunBatch(list(planned.values()), list(outcomes.values()), list(records.values()))

    @property
    def runs(self) -> SearchRuns:
        """How the runs of a search that is over ended."""
        made = self.made
        failed = sum(outcome.status == "failed" for outcome in made.outcomes)
        diverged = sum(record.status == "diverged" for record in made.records)
        return SearchRuns(len(made.planned), failed, diverged)


@dataclass(frozen=True)
class SearchStep:
    """Points that train together from one comparison to the next."""

    arms: Sequence[Settings]
    """What trains, a point each."""
    rung: int
    """Counted from 0."""
    rungs: Sequence[int]
    """Epochs after which the points are compared; the last is the end of the training."""
    to_come: int
    """Proposals after this batch."""

    @property
    def until_epoch(self) -> int | None:
        """Where the runs pause; None at their end."""
        return None if self.rung == len(self.rungs) - 1 else self.rungs[self.rung]

    @property
    def epochs_before(self) -> int:
        """Epochs that the runs have already."""
        return self.rungs[self.rung - 1] if self.rung else 0


Make = Callable[[SearchState, SearchStep], RunBatch | None]
"""Makes the runs of a step of what was found so far; None ends the search here."""


def walk(
    method: Method,
    search: Search,
    context: RunContext,
    make: Make,
    after: Callable[[SearchState, SearchStep], object] = lambda *_: None,
) -> SearchState:
    """Try all points that the method proposes, as far as `make` makes their runs.

    Args:
        after: called when a step has been judged.
    """
    found = SearchState()
    while batch := method.propose(found.tried):
        found.points += batch
        going: Sequence[Point] = batch
        rungs = rung_epochs(batch[0].settings.epochs, search.halving) if search.halving else [0]
        for rung in range(len(rungs)):
            arms = [search_settings(point.settings, search) for point in going]
            step = SearchStep(arms, rung, rungs, method.to_come)
            made = make(found, step)
            if made is None:
                return found
            found.parts.append(made)
            going = _settle(found, going, _judge(going, step, made, context), search, step.until_epoch)
            after(found, step)
            if not going:
                break
    return found


def look(context: RunContext, step: SearchStep) -> RunBatch | None:
    """The step's runs where all of them are there; nothing is made."""
    planned = preview(context, step)
    if planned is None or any(run.state != "done" for run in planned):
        return None
    return RunBatch(planned, [], read_planned(planned))


def preview(context: RunContext, step: SearchStep) -> list[PlannedRun] | None:
    """What of the step's runs is there; None where its images have not been prepared."""
    return preview_runs(step.arms, _at(context, step), read_test=False, until_epoch=step.until_epoch)


def make_step(context: RunContext, step: SearchStep, on_plan: Callable[[Sequence[PlannedRun]], object]) -> RunBatch:
    """The step's runs, made as far as they are not there.

    Raises:
        LabError, Interrupted: as `make_runs`.
    """
    return make_runs(step.arms, _at(context, step), read_test=False, until_epoch=step.until_epoch, on_plan=on_plan)


def _at(context: RunContext, step: SearchStep) -> RunContext:
    """The place for one step: what is forced is trained again on the first rung, and the others go on from there."""
    return replace(context, force=context.force and step.rung == 0)


def _judge(points: Sequence[Point], step: SearchStep, made: RunBatch, context: RunContext) -> dict[str, PointResult]:
    """Name of each point → how it did until the step's end, from what was written then."""
    records = {record.run_id: record for record in made.records}

    def accuracy(run_id: str) -> list[float | None]:
        """In a list; empty for a run that failed."""
        record = records.get(run_id)
        if step.until_epoch is None:
            return [] if record is None else [record.val.accuracy if record.val else None]
        history = RunFolder(context.results, run_id).read_metrics()
        if len(history) >= step.until_epoch:
            return [history[step.until_epoch - 1].val_accuracy]
        if record is not None and record.status == "done":
            raise DataError(
                f"{RunFolder(context.results, run_id).metrics}: has not all epochs; make the run again with --force"
            )
        return [] if record is None else [None]

    planned = {(id(run.job.settings), run.job.seed): run.job.run_id for run in made.planned}

    def run_ids(arm: Settings) -> list[str]:
        """As the plan has them; a run that another arm has too stands there under that one."""
        ids = [planned[id(arm), seed] for seed in arm.seeds if (id(arm), seed) in planned]
        return ids if len(ids) == len(arm.seeds) else run_ids_of(arm, context.images)

    return {
        point.name: PointResult(point, tuple(each for run_id in run_ids(arm) for each in accuracy(run_id)))
        for point, arm in zip(points, step.arms, strict=True)
    }


def _settle(
    found: SearchState,
    points: Sequence[Point],
    tried: Mapping[str, PointResult],
    search: Search,
    until_epoch: int | None,
) -> list[Point]:
    """Those of the points that go on, in their order; the others are through, or pruned."""
    found.tried |= tried
    if until_epoch is None or search.halving is None:
        return []
    accuracies = {name: each.val_accuracies for name, each in tried.items()}
    ranked = pick_winners(points, accuracies, len(points))
    best = {each.point.name for each in ranked[: kept_points(len(points), search.halving, search.top)]}
    found.pruned |= {each.point.name: until_epoch for each in ranked if each.point.name not in best}
    return [point for point in points if point.name in best]
