"""A sweep from its file to its winners: search by validation, confirm with fresh seeds, test only then."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from cifar_lab.config import MAX_SEED, Settings
from cifar_lab.config_io import load_settings, load_sheet, sheet_file
from cifar_lab.config_io.layers import override_layer
from cifar_lab.config_io.tree import walk
from cifar_lab.data import Prepared
from cifar_lab.durable import make_folder, write_text
from cifar_lab.engines.engine import Engine
from cifar_lab.engines.policy import Policy
from cifar_lab.errors import Problem, SettingsError
from cifar_lab.laboratory import Made, make_runs
from cifar_lab.plan import run_ids_of
from cifar_lab.progress import Display, count
from cifar_lab.results import SweepFolder
from cifar_lab.sheets import Search, SweepSheet
from cifar_lab.sweep_plan import (
    Expansion,
    Ranked,
    SearchRuns,
    axis_keys,
    confirm_settings,
    expand,
    pick_winners,
    same_numbers,
    search_settings,
    winners_document,
)


@dataclass(frozen=True)
class Sweep:
    """A sweep file, read and expanded."""

    name: str
    base: Settings
    search: Search
    expansion: Expansion

    def search_arms(self) -> list[Settings]:
        """What the search trains, in the order of the points."""
        return [search_settings(point.settings, self.search) for point in self.expansion.points]

    def confirm_arms(self, winners: Sequence[Ranked]) -> list[Settings]:
        """The base and the winners with fresh seeds."""
        chosen = [winner.point.settings for winner in winners]
        return [confirm_settings(settings, self.search) for settings in (self.base, *chosen)]


@dataclass(frozen=True)
class SweepOutcome:
    """What a sweep found."""

    searched: Made
    winners: Sequence[Ranked]
    confirmed: Made

    @property
    def runs(self) -> SearchRuns:
        """How the runs of the search ended."""
        return _count_runs(self.searched)


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
    expansion = expand(sheet, base, str(path), allow_large=allow_large)
    search = sheet.search if seeds is None else _with_seeds(sheet.search, seeds)
    return Sweep(path.stem, base, search, expansion)


def make_sweep(
    sweep: Sweep,
    results: Path,
    *,
    force: bool = False,
    workers: int | None = None,
    display: Display | None = None,
    allow_failed: bool = False,
    policy: Policy = Policy(),  # noqa: B008
    engine: Engine | None = None,
) -> SweepOutcome:
    """Make every run of the search, pick the winners by validation accuracy, then train and test them afresh.

    What is there already is not made again, so the same call goes on where an earlier one was ended.

    Args:
        results, force, workers, display, policy, engine: as in `make_runs`.
        allow_failed: pick winners also where some runs of the search failed, among the points that have results.

    Raises:
        LabError: as `make_runs` does, or when runs of the search failed; nothing has been tested then.
    """
    images, folder = Prepared(), SweepFolder(results, sweep.name)

    def write_plan() -> None:
        make_folder(folder.path)
        write_text(folder.plan, _plan_text(sweep, _run_ids(sweep, images)))

    searched = make_runs(
        sweep.search_arms(),
        results,
        read_test=False,
        force=force,
        workers=workers,
        display=display,
        images=images,
        on_plan=write_plan,
        policy=policy,
        engine=engine,
    )
    _refuse_half_a_search(searched, allow_failed)
    run_ids = _run_ids(sweep, images)
    accuracies = _val_accuracies(searched, run_ids)
    winners = pick_winners(sweep.expansion.points, accuracies, sweep.search.top)
    confirmed = make_runs(
        sweep.confirm_arms(winners),
        results,
        force=force,
        workers=workers,
        display=display,
        images=images,
        policy=policy,
        engine=engine,
    )
    base = next((point.name for point in sweep.expansion.points if same_numbers(point.settings, sweep.base)), None)
    finite = [value for value in accuracies.get(base or "", ()) if value is not None]
    document = winners_document(
        sweep.name,
        sweep.base,
        sweep.search,
        winners,
        points=len(sweep.expansion.points),
        runs=_count_runs(searched),
        base_val_accuracy=fmean(finite) if finite else None,
        fingerprint=images.prepare(sweep.base.data).fingerprint,
        plan_sha256=hashlib.sha256(folder.plan.read_bytes()).hexdigest(),
    )
    write_text(folder.winners, _json(document))
    return SweepOutcome(searched, winners, confirmed)


def _refuse_idle_overrides(sheet: SweepSheet, overrides: Sequence[str]) -> None:
    """An override of what every point sets would change the control alone, and nobody would see it.

    Raises:
        SettingsError: an override of an axis, or of seeds.
    """
    axes = {key: place for place, key in axis_keys(sheet)}
    problems = []
    for key, node in walk(override_layer(overrides).root):
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


def _refuse_half_a_search(searched: Made, allow_failed: bool) -> None:
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


def _count_runs(searched: Made) -> SearchRuns:
    return SearchRuns(
        searched=len(searched.planned),
        failed=len(searched.planned) - len(searched.records),
        diverged=sum(record.status == "diverged" for record in searched.records),
    )


def _run_ids(sweep: Sweep, images: Prepared) -> dict[str, list[str]]:
    """Name of each point → ids of its runs in the search."""
    arms = zip(sweep.expansion.points, sweep.search_arms(), strict=True)
    return {point.name: run_ids_of(arm, images) for point, arm in arms}


def _plan_text(sweep: Sweep, run_ids: Mapping[str, Sequence[str]]) -> str:
    """The content of plan.json: what was searched, and the runs of each point."""
    points = [
        {"name": point.name, "values": dict(point.values), "runs": run_ids[point.name]}
        for point in sweep.expansion.points
    ]
    return _json({"sweep": sweep.name, "search": sweep.search.model_dump(mode="json"), "points": points})


def _val_accuracies(searched: Made, run_ids: Mapping[str, Sequence[str]]) -> dict[str, list[float | None]]:
    """Name of each point → validation accuracy of each of its runs; None where it diverged."""
    records = {record.run_id: record for record in searched.records}
    return {
        name: [record.val.accuracy if record.val else None for i in ids if (record := records.get(i)) is not None]
        for name, ids in run_ids.items()
    }


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
