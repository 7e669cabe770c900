"""A sweep from its file to its winners: search by validation, confirm with fresh seeds, test only then."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from cifar_lab.config import MAX_SEED, Settings
from cifar_lab.config.io import load_settings, load_sheet, sheet_file
from cifar_lab.config.io.layers import override_layer
from cifar_lab.config.io.tree import walk as walk_tree
from cifar_lab.config.sheets import Search, SweepSheet
from cifar_lab.core.atomic_io import write_text
from cifar_lab.core.errors import Problem, SettingsError
from cifar_lab.core.text import count
from cifar_lab.execution.context import RunContext
from cifar_lab.execution.estimate import Estimate
from cifar_lab.execution.plan import PlannedRun
from cifar_lab.execution.runner import RunBatch, make_runs
from cifar_lab.store.results import SweepFolder
from cifar_lab.studies.forecast import forecast
from cifar_lab.studies.search import SearchState, SearchStep, look, make_step, preview, walk
from cifar_lab.studies.search_files import SearchFiles, document_text
from cifar_lab.studies.search_messages import estimate_lines, judged_line, step_line
from cifar_lab.studies.space import (
    Expansion,
    Method,
    Ranked,
    SearchRuns,
    axis_keys,
    confirm_settings,
    expand,
    pick_winners,
    same_numbers,
    search_settings,
    start_method,
    winners_document,
)

Say = Callable[[str], object]


@dataclass(frozen=True)
class Sweep:
    """A sweep file, read and expanded."""

    name: str
    base: Settings
    sheet: SweepSheet
    """What the file says; its search has the seeds that were asked for."""
    expansion: Expansion
    where: str
    """The file, for messages."""

    @property
    def search(self) -> Search:
        """How the points are tried."""
        return self.sheet.search

    def method(self) -> Method:
        """Who proposes the points, at the beginning."""
        return start_method(self.sheet, self.base, self.expansion, self.where)

    def search_arms(self) -> list[Settings]:
        """What the search trains of the points that are known before its start, in their order."""
        return [search_settings(point.settings, self.search) for point in self.expansion.points]

    def confirm_arms(self, winners: Sequence[Ranked]) -> list[Settings]:
        """The base and the winners with fresh seeds."""
        chosen = [winner.point.settings for winner in winners]
        return [confirm_settings(settings, self.search) for settings in (self.base, *chosen)]


@dataclass(frozen=True)
class SweepOutcome:
    """What a sweep found."""

    found: SearchState
    winners: Sequence[Ranked]
    confirmed: RunBatch

    @property
    def searched(self) -> RunBatch:
        """The runs of the search."""
        return self.found.made

    @property
    def runs(self) -> SearchRuns:
        """How they ended."""
        return self.found.runs


@dataclass(frozen=True)
class SweepStatus:
    """What of a search is there, and what comes next; nothing was made."""

    found: SearchState
    step: SearchStep | None
    """The first that is not there; None where the search is over."""
    planned: Sequence[PlannedRun] | None
    """What of that step is there; None where its images have not been prepared."""
    estimate: Estimate | None
    """None where the search is over."""


def load_sweep(
    path: str | Path, overrides: Sequence[str] = (), seeds: Sequence[int] | None = None, *, allow_large: bool = False
) -> Sweep:
    """Read and expand a sweep file; `overrides` change its base, `seeds` those of the search.

    Raises:
        SettingsError: every problem of the file, its base and its points; an override of an axis or of seeds.
    """
    path = Path(path)
    sheet = load_sheet(path, SweepSheet)
    base = load_settings(sheet_file(path, sheet.base), overrides)
    _refuse_idle_overrides(sheet, overrides)
    if seeds is not None:
        sheet = sheet.model_copy(update={"search": _with_seeds(sheet.search, seeds)})
    return Sweep(path.stem, base, sheet, expand(sheet, base, str(path), allow_large=allow_large), str(path))


def make_sweep(
    sweep: Sweep, context: RunContext, *, allow_failed: bool = False, say: Say = lambda line: None
) -> SweepOutcome:
    """Make every run of the search, pick the winners by validation accuracy, then train and test them afresh.

    What is there already is not made again, so the same call goes on where an earlier one was ended.

    Args:
        context: results folder, engine and policy.
        allow_failed: pick winners also where some runs of the search failed, among the points that have results.
        say: who is told, in lines, what the search will take and how it goes.

    Raises:
        LabError: as `make_runs` does, where the disk cannot hold the runs, or when runs of the search failed; nothing
            has been tested then.
    """
    folder = SweepFolder(context.results, sweep.name)
    found = _search(sweep, context, SearchFiles(folder, sweep.name, sweep.search, context.images), allow_failed, say)
    winners = pick_winners(found.points, found.accuracies, sweep.search.top)
    confirmed = make_runs(sweep.confirm_arms(winners), context)
    base = next((point.name for point in found.points if same_numbers(point.settings, sweep.base)), None)
    finite = [value for value in found.accuracies.get(base or "", ()) if value is not None]
    document = winners_document(
        sweep.name,
        sweep.base,
        sweep.search,
        winners,
        points=len(found.points),
        pruned=len(found.pruned),
        runs=found.runs,
        base_val_accuracy=fmean(finite) if finite else None,
        fingerprint=context.images.prepare(sweep.base.data).fingerprint,
        plan_sha256=hashlib.sha256(folder.plan.read_bytes()).hexdigest(),
    )
    write_text(folder.winners, document_text(document))
    return SweepOutcome(found, winners, confirmed)


def look_at_sweep(sweep: Sweep, context: RunContext) -> SweepStatus:
    """What of a sweep's search is there, read from its runs, and what the rest will take."""
    waiting: list[SearchStep] = []

    def read(found: SearchState, step: SearchStep) -> RunBatch | None:
        made = None if context.force else look(context, step)
        if made is None:
            waiting.append(step)
        return made

    found = walk(sweep.method(), sweep.search, context, read)
    if not waiting:
        return SweepStatus(found, None, None, None)
    planned = preview(context, waiting[0])
    return SweepStatus(found, waiting[0], planned, forecast(sweep.base, sweep.search, waiting[0], planned, context))


def _search(sweep: Sweep, context: RunContext, files: SearchFiles, allow_failed: bool, say: Say) -> SearchState:
    """Make the runs of the search, telling what they will take before the first of them."""
    is_fixed = sweep.search.method != "tpe" and sweep.search.halving is None
    told: list[Estimate] = []

    def make(found: SearchState, step: SearchStep) -> RunBatch:
        # A search that goes on passes what is there without a word.
        made = None if is_fixed or context.force else look(context, step)
        if made is None:
            made = make_step(context, step, lambda planned: before(found, step, planned))
            _refuse_half_a_search(SearchState(parts=[*found.parts, made]).made, allow_failed)
        return made

    def before(found: SearchState, step: SearchStep, planned: Sequence[PlannedRun]) -> None:
        if not told:
            if sweep.expansion.duplicates:
                say(f"merged: {count(sweep.expansion.duplicates, 'point')} that mean the same as an earlier one")
            told.append(forecast(sweep.base, sweep.search, step, planned, context))
            if told[0].runs:
                for line in estimate_lines(found, step, planned, told[0], sweep.search):
                    say(line)
            told[0].check_disk(context.results)
        if not is_fixed:
            say(step_line(found, step, sweep.search))
        files.write_plan(found.points)

    def after(found: SearchState, step: SearchStep) -> None:
        if not is_fixed:
            files.write_history(found)
        if step.until_epoch is not None:
            say(judged_line(found, step))

    found = walk(sweep.method(), sweep.search, context, make, after)
    files.write_plan(found.points)
    return found


def _refuse_idle_overrides(sheet: SweepSheet, overrides: Sequence[str]) -> None:
    """An override of what every point sets would change the control alone, and nobody would see it.

    Raises:
        SettingsError: an override of an axis, or of seeds.
    """
    axes = {key: context for context, key in axis_keys(sheet)}
    problems = []
    for key, node in walk_tree(override_layer(overrides).root):
        if key == "seeds":
            problems.append(Problem(str(node.at), key, "a sweep has two kinds; give --seeds, or edit search"))
        elif key in axes:
            problems.append(Problem(str(node.at), "", f"{key} is an axis of this sweep; edit {axes[key]}"))
    if problems:
        raise SettingsError(problems)


def _with_seeds(search: Search, seeds: Sequence[int]) -> Search:
    """The search with other seeds, which obey the same rules as those of the file.

    Raises:
        SettingsError: a seed too large, or one of the fresh ones.
    """
    shared = sorted(set(seeds) & set(search.confirm_seeds))
    if shared:
        raise SettingsError(
            f"--seeds: {shared[0]} is in search.confirm_seeds; winners are confirmed with fresh seeds, choose another"
        )
    if max(seeds) > MAX_SEED:
        raise SettingsError(f"--seeds: {max(seeds)} is above {MAX_SEED}, the largest seed; choose a smaller one")
    return search.model_copy(update={"seeds": tuple(seeds)})


def _refuse_half_a_search(searched: RunBatch, allow_failed: bool) -> None:
    """Winners of the runs that happened to fit into memory or on a disk are no winners: stop before any is tested.

    Raises:
        LabError: some runs failed and that is not allowed, or all failed; of the kind of `Made.exit_code`.
    """
    failed = [outcome for outcome in searched.outcomes if outcome.status == "failed"]
    none_left = len(failed) == len(searched.planned)
    if failed and (none_left or not allow_failed):
        first = next((each for each in failed if each.exit_code == searched.exit_code), failed[0])
        go_on = "" if none_left else ", or add --allow-failed to pick among the others"
        raise searched.fault(
            f"{len(failed)} of {count(len(searched.planned), 'run')} of the search failed, so no winner is picked; "
            f"give the same command again to try them again{go_on}; the first: {first.job.name}: {first.reason}"
        )
