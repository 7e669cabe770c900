"""Documents in the folder of a sweep: plan.json, history.json (adaptive searches) and winners.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar_lab.config import Settings
from cifar_lab.config.io.search_rules import OF_METHODS
from cifar_lab.config.run_id import recipe
from cifar_lab.config.sheets import Search
from cifar_lab.core.errors import DataError
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.plan import run_ids_of
from cifar_lab.store.documents import GROUPS_SCHEMA, RACE_SCHEMA, read_document, write_document
from cifar_lab.store.left_out import leave_out
from cifar_lab.store.results import SweepFolder, history_files
from cifar_lab.store.writers import documents_lock
from cifar_lab.studies.space.groups import group_key, group_names
from cifar_lab.studies.space.points import Point
from cifar_lab.studies.space.winners import Ranked, SearchRuns, confirm_settings, reference_winner, search_settings

if TYPE_CHECKING:
    from cifar_lab.studies.search import SearchState


class SearchDocuments:
    """Writer of plan.json and history.json. The same search writes the same bytes."""

    def __init__(self, folder: SweepFolder, name: str, search: Search, images: DatasetCatalog) -> None:
        self.folder, self.name, self.search, self.images = folder, name, search, images
        self._points: list[Point] | None = None
        self._plan: dict[str, Any] = {}
        """Plan of `_points`. A grid has the same at its end as at its start."""
        self._run_ids: dict[str, list[str]] = {}

    def write_plan(self, state: SearchState, *, keep_later: bool = False) -> None:
        """Write the search and the points so far, each with its run ids.

        Args:
            state: its points. In a race each has the runs of the seeds so far.
            keep_later: leave a plan alone that continues this one, by another command that is ahead.

        Raises:
            EnvironmentFault: the file cannot be written.
        """
        if self._points != state.points or state.races is not None:
            self._points = list(state.points)
            names = group_names((point.settings for point in state.points), self.search)
            documents = [self._point(point, state, names) for point in state.points]
            self._plan = {"sweep": self.name, "search": search_document(self.search), "points": documents}
        self._write(self.folder.plan, self._plan, keep_later)

    def write_history(self, state: SearchState, *, keep_later: bool = False) -> None:
        """Write the result of each point, and the epoch after which it was pruned.

        Args:
            keep_later: as in `write_plan`.

        Raises:
            EnvironmentFault: the file cannot be written.
        """
        schema = {} if state.races is None else {"schema": RACE_SCHEMA}
        document = {"sweep": self.name, "points": [self._history(point, state) for point in state.points], **schema}
        self._write(self.folder.history, document, keep_later)

    def _write(self, path: Path, document: dict[str, Any], keep_later: bool) -> None:
        with documents_lock(self.folder.results):
            if not (keep_later and _continues(path, document)):
                write_document(self.folder.results, path, document)

    def _point(self, point: Point, state: SearchState, groups: Mapping[str, str]) -> dict[str, Any]:
        group = {"group": groups[group_key(point.settings, self.search)]} if self.search.group_keys else {}
        return {"name": point.name, "values": dict(point.values), "runs": self._runs(point, state), **group}

    def _history(self, point: Point, state: SearchState) -> dict[str, Any]:
        result = state.results.get(point.name)
        return {
            "name": point.name,
            "runs": self._runs(point, state),
            "val_accuracies": None if result is None else list(result.val_accuracies),
            "pruned_after_epoch": state.pruned.get(point.name),
            **({} if state.races is None else {"dropped_after_seeds": state.dropped.get(point.name)}),
        }

    def _runs(self, point: Point, state: SearchState) -> list[str]:
        if point.name not in self._run_ids:
            self._run_ids[point.name] = run_ids_of(search_settings(point.settings, self.search), self.images)
        return self._run_ids[point.name][: state.seeds.get(point.name)]


def _continues(path: Path, document: Mapping[str, Any]) -> bool:
    """Whether the document at `path` has these points and more, more runs of them, or has pruned more of them."""
    try:
        later = read_document(path).values
        points, earlier = later["points"], document["points"]
        if later.get("search") != document.get("search") or len(points) < len(earlier):
            return False
        if any(new["runs"][: len(old["runs"])] != old["runs"] for new, old in zip(points, earlier, strict=False)):
            return False
        return _progress(points) > _progress(earlier)
    except (OSError, DataError, KeyError, TypeError):
        return False


def _progress(points: Sequence[Mapping[str, Any]]) -> tuple[int, int, int]:
    """Number of points, of their runs, and of points that were pruned or dropped."""
    out = sum(point.get(key) is not None for point in points for key in ("pruned_after_epoch", "dropped_after_seeds"))
    return len(points), sum(len(point["runs"]) for point in points), out


def pruned_runs(results: Path) -> dict[str, int]:
    """Epoch of pruning by run id, from all sweeps of a results folder. Damaged files are named and left out."""
    found: dict[str, int] = {}
    for path in history_files(results):
        try:
            points = read_document(path).values["points"]
            found |= {str(run): int(p["pruned_after_epoch"]) for p in points if p["pruned_after_epoch"]
                      for run in p["runs"]}  # fmt: skip
        except (OSError, DataError, ValueError, KeyError, TypeError):
            leave_out(f"{path}: is damaged and left out; run the sweep again to rebuild it")
    return found


def search_document(search: Search) -> dict[str, Any]:
    """Search section of plan.json, without the settings that its method does not use."""
    unused = {name for name, methods in OF_METHODS.items() if search.method not in methods}
    unused |= {name for name in ("halving", "racing") if getattr(search, name) is None}
    unused.add("top" if search.group_keys else "per")
    return search.model_dump(mode="json", exclude=unused)


def winners_document(
    sweep: str,
    base: Settings,
    search: Search,
    winners: Sequence[Ranked],
    *,
    points: int,
    runs: SearchRuns,
    base_val_accuracy: float | None,
    fingerprint: str,
    val_size: int,
    plan_sha256: str,
    pruned: int = 0,
    dropped: int = 0,
) -> dict[str, Any]:
    """Content of winners.json.

    Args:
        sweep: name of the sweep.
        base: settings of the control, which is trained with the confirming seeds too.
        winners: best first.
        points: number of points that were tried.
        base_val_accuracy: mean validation accuracy of the base in the search, if it was a point.
        fingerprint: of the images of the base, 64 hex digits.
        val_size: images of the validation split of the search.
        plan_sha256: SHA-256 of the bytes of plan.json, 64 hex digits.
        pruned: number of points that were pruned.
        dropped: number of points that a race dropped.
    """
    reference = reference_winner(winners, base, search)
    return {
        "sweep": sweep,
        "plan_sha256": plan_sha256,
        "fingerprint": fingerprint,
        "search": {
            "method": search.method,
            "seeds": list(search.seeds),
            "val_size": val_size,
            **({"halving": search.halving.model_dump(mode="json")} if search.halving else {}),
            **({"racing": search.racing.model_dump(mode="json")} if search.racing else {}),
            **({"per": list(search.group_keys)} if search.group_keys else {}),
        },
        "confirm_seeds": list(search.confirm_seeds),
        "points": points,
        **({"pruned": pruned} if search.halving else {}),
        **({"dropped": dropped} if search.racing else {}),
        "runs": asdict(runs),
        "control": _winner(reference, search)
        if reference
        else {
            "label": base.label,
            "recipe": recipe(confirm_settings(base, search)),
            "val_accuracy": base_val_accuracy,
        },
        "winners": [_winner(winner, search) for winner in winners if winner is not reference],
        **({"schema": RACE_SCHEMA if search.racing else GROUPS_SCHEMA} if search.racing or search.group_keys else {}),
    }


def _winner(winner: Ranked, search: Search) -> dict[str, Any]:
    return {
        "rank": winner.rank,
        "label": winner.point.name,
        "recipe": recipe(confirm_settings(winner.point.settings, search)),
        "values": dict(winner.point.values),
        "val_accuracy": winner.val_accuracy,
        "seeds_searched": winner.seeds_searched,
        **({"group": winner.group, "points": winner.tried} if winner.group else {}),
    }
