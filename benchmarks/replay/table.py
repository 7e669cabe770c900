"""Table of validation accuracies of a fixed space: real runs of every point with every seed, kept as a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cifar_lab.config import Settings
from cifar_lab.core.atomic_io import write_bytes
from cifar_lab.execution.context import RunContext
from cifar_lab.execution.runner import make_runs
from cifar_lab.store.results import RunFolder
from cifar_lab.studies.space.winners import confirm_settings, search_settings
from cifar_lab.studies.sweep import Sweep, load_sweep

SPACE = Path(__file__).with_name("space.yaml")

Curve = tuple[float, ...]
"""Validation accuracy after each epoch, 0 to 1. Zeros where the run diverged."""


@dataclass(frozen=True)
class Table:
    """Validation accuracies by point."""

    searched: dict[str, tuple[Curve, ...]]
    """Per seed of the search."""
    fresh: dict[str, tuple[Curve, ...]]
    """Per confirming seed, of the points that won a replay."""


class TableFolder:
    """Folder with the runs and the file of a table. Finished runs are not made again."""

    def __init__(self, folder: Path, overrides: Sequence[str], seeds: int, points: int | None = None) -> None:
        """
        Args:
            overrides: settings of the images.
            seeds: number of seeds of the search, and of confirming ones.
            points: number of points, evenly spaced. None for all.
        """
        self.file, self._context = folder / "table.json", RunContext(folder / "results", workers=1)
        self.sweep = _with_seeds(load_sweep(SPACE, overrides), seeds)
        every = self.sweep.expansion.points
        self.points = every if points is None else every[:: max(1, len(every) // points)]
        self._fresh: dict[str, tuple[Curve, ...]] = {}

    def table(self, winners: Sequence[str] = ()) -> Table:
        """Make the missing runs of every point, and of the winners with fresh seeds. The test split is not read."""
        search = self.sweep.search
        searched = self._curves({p.name: search_settings(p.settings, search) for p in self.points})
        chosen = [point for point in self.points if point.name in {*winners, *self._fresh}]
        self._fresh = self._curves({p.name: confirm_settings(p.settings, search) for p in chosen})
        table = Table(searched, self._fresh)
        document = {"points": {p.name: dict(p.values) for p in self.points}, **table.__dict__}
        write_bytes(self.file, json.dumps(document, indent=1, ensure_ascii=False).encode())
        return table

    def _curves(self, arms: dict[str, Settings]) -> dict[str, tuple[Curve, ...]]:
        """Curve of each run, by point, in the order of the seeds."""
        if not arms:
            return {}
        runs = make_runs(list(arms.values()), self._context, read_test=False)
        runs.raise_failed()
        found: dict[tuple[str, int], Curve] = {}
        for record in runs.records:
            history = RunFolder(self._context.results, record.run_id).read_metrics(record)
            curve = [line.val_accuracy or 0.0 for line in history]
            found[record.label, record.seed] = (
                tuple(curve) if record.status == "done" else (0.0,) * record.epochs_trained
            )
        return {name: tuple(found[arm.label, seed] for seed in arm.seeds) for name, arm in arms.items()}


def _with_seeds(sweep: Sweep, seeds: int) -> Sweep:
    search = sweep.search.model_copy(
        update={"seeds": sweep.search.seeds[:seeds], "confirm_seeds": sweep.search.confirm_seeds[:seeds]}
    )
    return replace(sweep, sheet=sweep.sheet.model_copy(update={"search": search}))
