"""The files that a search leaves in its sweep's folder: plan.json and, where points come and go, history.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cifar_lab.config.sheets import Search
from cifar_lab.core.atomic_io import make_folder, write_text
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.plan import run_ids_of
from cifar_lab.store.results import SweepFolder, history_files
from cifar_lab.studies.search import SearchState
from cifar_lab.studies.space import Point, search_document, search_settings


class SearchFiles:
    """Writes them as the search goes on; the same search writes the same bytes."""

    def __init__(self, folder: SweepFolder, name: str, search: Search, images: DatasetCatalog) -> None:
        self.folder, self.name, self.search, self.images = folder, name, search, images
        self._points: list[Point] | None = None
        self._plan = ""
        """Of `_points`: a grid has the same at its end as at its start."""
        self._run_ids: dict[str, list[str]] = {}

    def write_plan(self, points: Sequence[Point]) -> None:
        """What is searched, and the runs of each point that there is so far.

        Raises:
            EnvironmentFault: it cannot be written.
        """
        if self._points != points:
            self._points = list(points)
            self._plan = document_text(
                {
                    "sweep": self.name,
                    "search": search_document(self.search),
                    "points": [
                        {"name": point.name, "values": dict(point.values), "runs": self._runs(point)}
                        for point in points
                    ],
                }
            )
        self._write(self.folder.plan, self._plan)

    def write_history(self, found: SearchState) -> None:
        """How each point did: those that were pruned are marked, with the epoch after which they were.

        Raises:
            EnvironmentFault: it cannot be written.
        """
        document = {"sweep": self.name, "points": [self._history(point, found) for point in found.points]}
        self._write(self.folder.history, document_text(document))

    def _history(self, point: Point, found: SearchState) -> dict[str, Any]:
        tried, pruned = found.tried.get(point.name), found.pruned.get(point.name)
        return {
            "name": point.name,
            "runs": self._runs(point),
            "val_accuracies": None if tried is None else list(tried.val_accuracies),
            "pruned_after_epoch": pruned,
        }

    def _runs(self, point: Point) -> list[str]:
        if point.name not in self._run_ids:
            self._run_ids[point.name] = run_ids_of(search_settings(point.settings, self.search), self.images)
        return self._run_ids[point.name]

    def _write(self, path: Path, text: str) -> None:
        if not path.is_file() or path.read_bytes() != text.encode():
            make_folder(path.parent)
            write_text(path, text)


def document_text(document: dict[str, Any]) -> str:
    """A document of a sweep as its file has it."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def pruned_runs(results: Path) -> dict[str, int]:
    """Run id → epoch after which a search pruned it, of all sweeps in a folder; a damaged file tells of none."""
    found: dict[str, int] = {}
    for path in history_files(results):
        try:
            points = json.loads(path.read_bytes())["points"]
            found |= {run: p["pruned_after_epoch"] for p in points if p["pruned_after_epoch"] for run in p["runs"]}
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found
