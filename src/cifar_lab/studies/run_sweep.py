"""Run a sweep: search by validation accuracy, then train the winners with fresh seeds and test only them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import fmean

from cifar_lab.config import Settings
from cifar_lab.config.sheets import Search
from cifar_lab.core.errors import Problem, SettingsError
from cifar_lab.core.files import read_regular
from cifar_lab.core.text import count
from cifar_lab.data import validation_count
from cifar_lab.execution.context import RunContext
from cifar_lab.execution.plan import PlannedRun
from cifar_lab.execution.runner import RunBatch, make_runs, prepare_images_of
from cifar_lab.store.documents import write_document
from cifar_lab.store.results import SweepFolder
from cifar_lab.studies.documents import SearchDocuments, winners_document
from cifar_lab.studies.forecast import Estimate, forecast
from cifar_lab.studies.race_lines import race_lines, race_step_line
from cifar_lab.studies.search import SearchState, SearchStep, finished_step, make_step, preview_step, run_search
from cifar_lab.studies.space.groups import group_sizes
from cifar_lab.studies.space.methods import kept_points
from cifar_lab.studies.space.points import same_numbers
from cifar_lab.studies.space.winners import Ranked, SearchRuns, choose_winners, pick_winners, search_settings
from cifar_lab.studies.sweep import Sweep

Say = Callable[[str], object]


@dataclass(frozen=True)
class SweepOutcome:
    """Result of a sweep: search, winners and confirming runs."""

    state: SearchState
    winners: Sequence[Ranked]
    confirmed: RunBatch

    @property
    def search_runs(self) -> RunBatch:
        """Runs of the search."""
        return self.state.runs

    @property
    def run_counts(self) -> SearchRuns:
        """Number of runs of the search, of failed and of diverged ones."""
        return self.state.run_counts


@dataclass(frozen=True)
class SweepStatus:
    """State of a search on disk and its next step."""

    state: SearchState
    step: SearchStep | None
    """First step with missing runs. None where the search is complete."""
    planned: Sequence[PlannedRun] | None
    """Runs of that step. None before its images are prepared."""
    estimate: Estimate | None
    """Cost of the remaining steps. None where the search is complete."""


def make_sweep(
    sweep: Sweep, context: RunContext, *, allow_failed: bool = False, say: Say = lambda line: None
) -> SweepOutcome:
    """Run the search, pick the winners by validation accuracy, then train and test them with fresh seeds.

    Runs that exist are not made again, so the same call resumes an interrupted sweep. Several commands share its runs.

    Args:
        context: results folder, engine and policy.
        allow_failed: pick winners also where some runs of the search failed, among the points that have results.
        say: receives lines on the estimate and the progress of the search.

    Raises:
        LabError: as `make_runs`. Also where the disk cannot hold the runs, or runs of the search failed, before
            anything is tested.
    """
    folder = SweepFolder(context.results, sweep.name)
    if sweep.search.val_size is None:
        prepare_images_of(sweep.base, context)
    sweep = sweep.for_images(context.images)
    # Every step needs the results of the step before, so runs that other commands hold are waited for.
    policy = replace(context.policy, wait=True)
    context = replace(context, plan=folder.plan.relative_to(context.results).as_posix(), policy=policy)
    documents = SearchDocuments(folder, sweep.name, sweep.search, context.images)
    with context.engine.keeping_workers():
        state = _Searching(sweep, context, documents, allow_failed, say).run()
        winners = choose_winners(state.points, state.accuracies, sweep.search)
        confirmed = make_runs(sweep.confirm_arms(winners), context)
    info = context.images.prepare(sweep.base.data)
    document = winners_document(
        sweep.name,
        sweep.base,
        sweep.search,
        winners,
        points=len(state.points),
        pruned=len(state.pruned),
        dropped=len(state.dropped),
        runs=state.run_counts,
        base_val_accuracy=_base_val_accuracy(sweep, state),
        fingerprint=info.fingerprint,
        val_size=validation_count(search_settings(sweep.base, sweep.search).data, info),
        plan_sha256=hashlib.sha256(read_regular(folder.plan)).hexdigest(),
    )
    write_document(context.results, folder.winners, document)
    return SweepOutcome(state, winners, confirmed)


def sweep_status(sweep: Sweep, context: RunContext) -> SweepStatus:
    """Read the state of a search and estimate its remaining steps, without making runs."""
    missing: list[SearchStep] = []
    sweep = sweep.for_images(context.images)

    def read_runs(state: SearchState, step: SearchStep) -> RunBatch | None:
        runs = None if context.force else finished_step(context, step)
        if runs is None:
            missing.append(step)
        return runs

    with _naming_search_setting(sweep):
        state = run_search(sweep.method(), sweep.search, context, read_runs)
        if not missing:
            return SweepStatus(state, None, None, None)
        planned = preview_step(context, missing[0])
    return SweepStatus(state, missing[0], planned, forecast(sweep.base, sweep.search, missing[0], planned, context))


@contextmanager
def _naming_search_setting(sweep: Sweep) -> Iterator[None]:
    """Name `search.val_size` where it does not fit the images: once, and not `data.val_size` of every point.

    Raises:
        SettingsError: with the largest size that works.
    """
    try:
        yield
    except SettingsError as error:
        if sweep.base.data.has_validation() or {problem.key for problem in error.problems} != {"data.val_size"}:
            raise
        raise SettingsError([Problem(sweep.name, "search.val_size", error.problems[0].message)]) from None


def _base_val_accuracy(sweep: Sweep, state: SearchState) -> float | None:
    """Mean validation accuracy of the base in the search. None where it was no point, or diverged with every seed."""
    base = next((point.name for point in state.points if same_numbers(point.settings, sweep.base)), None)
    finite = [value for value in state.accuracies.get(base or "", ()) if value is not None]
    return fmean(finite) if finite else None


class _Searching:
    """Makes the runs of a search, writes its documents and reports its progress."""

    def __init__(
        self, sweep: Sweep, context: RunContext, documents: SearchDocuments, allow_failed: bool, say: Say
    ) -> None:
        self._sweep, self._context, self._documents = sweep, context, documents
        self._allow_failed, self._say = allow_failed, say
        self._search = sweep.search
        searches_in_steps = self._search.halving is not None or self._search.racing is not None
        self._is_adaptive = self._search.method == "tpe" or searches_in_steps
        self._has_estimated = False
        self._is_new = True
        """Whether the present step had missing runs. The history has the others already."""

    def run(self) -> SearchState:
        with _naming_search_setting(self._sweep):
            state = run_search(self._sweep.method(), self._search, self._context, self._make_step, self._after_step)
        self._documents.write_plan(state)
        if self._is_adaptive:
            self._documents.write_history(state)
        return state

    def _make_step(self, state: SearchState, step: SearchStep) -> RunBatch:
        # A search that resumes passes its finished steps in silence.
        if self._is_adaptive and not self._context.force and (runs := finished_step(self._context, step)) is not None:
            self._is_new = False
            return runs
        self._is_new = True
        runs = make_step(self._context, step, lambda planned: self._before_step(state, step, planned))
        _refuse_incomplete(SearchState(batches=[*state.batches, runs]).runs, self._allow_failed)
        return runs

    def _before_step(self, state: SearchState, step: SearchStep, planned: Sequence[PlannedRun]) -> None:
        if not self._has_estimated:
            self._has_estimated = True
            if self._sweep.expansion.duplicates:
                merged = count(self._sweep.expansion.duplicates, "point")
                self._say(f"merged: {merged} with the same meaning as an earlier one")
            estimate = forecast(self._sweep.base, self._search, step, planned, self._context)
            if estimate.runs:
                for line in estimate_lines(state, step, planned, estimate, self._search):
                    self._say(line)
            estimate.check_disk(self._context.results)
        if self._is_adaptive:
            self._say(_step_line(state, step, self._search))
        self._documents.write_plan(state, keep_later=self._is_adaptive and not self._context.force)

    def _after_step(self, state: SearchState, step: SearchStep) -> None:
        if self._is_adaptive and self._is_new:
            self._documents.write_history(state, keep_later=not self._context.force)
        if step.until_epoch is not None:
            self._say(_rung_line(state, step))
        if state.races is not None and self._is_new:
            for line in race_lines(state.races, self._search):
                self._say(line)


def _refuse_incomplete(runs: RunBatch, allow_failed: bool) -> None:
    """Stop a search with failed runs before any point is tested: they would bias the choice of winners.

    Raises:
        LabError: some runs failed and `allow_failed` is not set, or all failed. Of the kind of `RunBatch.exit_code`.
    """
    failed = [outcome for outcome in runs.outcomes if outcome.status == "failed"]
    all_failed = len(failed) == len(runs.planned)
    if failed and (all_failed or not allow_failed):
        first = next((outcome for outcome in failed if outcome.exit_code == runs.exit_code), failed[0])
        remedy = "" if all_failed else ", or add --allow-failed to choose among the others"
        raise runs.fault(
            f"{len(failed)} of {count(len(runs.planned), 'run')} of the search failed, so no winner is chosen; "
            f"run the same command again to retry them{remedy}; the first: {first.job.name}: {first.reason}"
        )


def estimate_lines(
    state: SearchState, step: SearchStep, planned: Sequence[PlannedRun] | None, estimate: Estimate, search: Search
) -> Iterator[str]:
    """Lines on the runs, time, memory and disk of a search, printed before its start.

    Args:
        planned: runs of the step. None before its images are prepared.
    """
    runs, before = round(estimate.runs), {run.job.run_id for batch in state.batches for run in batch.planned}
    done = len(before | {run.job.run_id for run in planned or () if run.state == "done"})
    points = [point.settings for point in state.points]
    groups = len(group_sizes(points, search))
    confirming = len(search.confirm_seeds) * (groups if search.group_keys else search.top + 1)
    chosen = f"the best of each of {count(groups, 'group')}" if search.group_keys else ""
    at_most = "at most " if step.trials_left else ""
    least = runs if estimate.least_runs is None else round(estimate.least_runs)
    all_runs, to_train = count(done + runs, "run"), f"{at_most}{runs:,}"
    if least < runs:
        all_runs, to_train = f"{done + least:,} to {all_runs}", f"{least:,} to {runs:,}"
    yield (
        f"estimate: {all_runs} to search, {done:,} already done, {to_train} to train; then "
        f"at most {count(confirming, 'run')} for "
        f"{chosen or f'the control and the best {search.top}'}"
    )
    if search.group_keys:
        tries = group_tries(points, search)
        yield f"tries per group: {', '.join(f'{name} {number:,}' for name, number in tries.items())}"
    yield from estimate.lines()


def group_tries(points: Sequence[Settings], search: Search) -> dict[str, int]:
    """Number of points of each group at the end of the search, from those so far."""
    if search.trials is not None and search.method == "tpe":
        return dict.fromkeys(group_sizes(points, search), search.trials)
    return group_sizes(points, search)


def _step_line(state: SearchState, step: SearchStep, search: Search) -> str:
    """Line on the points that train now, and to which epoch."""
    points = count(len(step.arms), "point")
    if state.races is not None:
        return race_step_line(step, search)
    if search.halving is None:
        before = len(state.points) - len(step.arms)
        return f"{search.method}: {points} after {before:,}, {step.trials_left:,} proposals to come"
    rung = f"rung {step.rung + 1} of {len(step.rungs)}: {points}"
    if step.until_epoch is None:
        return f"{rung} to the last epoch, {step.rungs[-1]}"
    kept = sum(kept_points(size, search.halving, search.kept) for size in group_sizes(step.arms, search).values())
    return f"{rung} to epoch {step.until_epoch} of {step.rungs[-1]}; the best {kept} continue"


def _rung_line(state: SearchState, step: SearchStep) -> str:
    """Line on the points that a rung kept and pruned, and the best so far."""
    epoch, trained = step.until_epoch, len(step.arms)
    pruned = sum(after == epoch for after in state.pruned.values())
    alive = [point for point in state.points if point.name not in state.pruned]
    best = pick_winners(alive, state.accuracies, 1)
    finite = [point for point in alive if any(value is not None for value in state.accuracies[point.name])]
    lost = trained - pruned - len(finite)
    line = f"after epoch {epoch}: {count(len(finite), 'point')} of {trained} continue, {pruned} pruned"
    line += f", {lost} without a finite number" if lost > 0 else ""
    return line + (f"; best: {best[0].point.name} ({best[0].val_accuracy:.4f})" if best else "")
