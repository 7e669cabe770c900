"""Runs and searches under way: counts, validation accuracy and learning curves. Test accuracies are not read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cifar_lab.analysis.breakdowns import CURVES, Curve
from cifar_lab.analysis.search_points import Axis, SearchedPoint, axes_of, best_points, read_points
from cifar_lab.config.io.load import load_settings
from cifar_lab.core.errors import LabError
from cifar_lab.store.documents import DamagedDocumentError, read_document
from cifar_lab.store.left_out import leave_out
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder, SweepFolder, find_records, run_ids, sweep_folders

MOST_BEST = 3
"""Finished points of a search whose curves are shown beside those of running runs."""
MOST_RUNNING = 8
"""Running runs whose curves are shown."""


@dataclass(frozen=True)
class RunCurves:
    """Run with its learning curves so far."""

    label: str
    seed: int
    epochs: int
    """Epochs completed."""
    epochs_planned: int
    curves: Mapping[str, Curve]

    def last(self, name: str) -> float | None:
        """Last value of a curve. None where it has none."""
        return next((value for value in reversed(self.curves.get(name, ())) if value is not None), None)


@dataclass(frozen=True)
class SearchUnderWay:
    """Search of a sweep, finished or not."""

    name: str
    points: tuple[SearchedPoint, ...]
    runs: int
    """Runs of its points."""
    done: int
    diverged: int
    has_winners: bool
    best: tuple[RunCurves, ...]
    """Best finished points by validation accuracy."""
    is_race: bool = False
    """Whether the search drops points after some of their seeds."""

    @property
    def in_race(self) -> int:
        """Number of points that a race has not dropped."""
        return sum(point.dropped_after is None for point in self.points)

    @property
    def finished(self) -> list[SearchedPoint]:
        """Points with a validation accuracy, the best first."""
        return best_points(self.points)

    @property
    def axes(self) -> list[Axis]:
        """Settings of which the finished points have several values."""
        return axes_of(self.points)


@dataclass(frozen=True)
class UnderWay:
    """State of a results folder while commands write to it."""

    searches: tuple[SearchUnderWay, ...]
    running: tuple[RunCurves, ...]
    done: int
    """Finished runs of the folder, those of searches included."""
    diverged: int
    interrupted: int


def read_under_way(results: Path) -> UnderWay:
    """Read the runs and searches of a results folder."""
    records = {record.run_id: record for record in find_records(results).records}
    open_runs = [RunFolder(results, run_id) for run_id in run_ids(results) if run_id not in records]
    running = [folder for folder in open_runs if folder.unfinished_state() == "running"]
    return UnderWay(
        tuple(found for sweep in sweep_folders(results) if (found := _search(results, sweep, records)) is not None),
        tuple(run for folder in running[:MOST_RUNNING] if (run := _open_run(folder)) is not None),
        sum(record.status == "done" for record in records.values()),
        sum(record.status == "diverged" for record in records.values()),
        len(open_runs) - len(running),
    )


def _search(results: Path, sweep: SweepFolder, records: Mapping[str, Record]) -> SearchUnderWay | None:
    """Search of a plan. None where the plan cannot be read."""
    try:
        document = read_document(sweep.plan).values
        name, ids = str(document["sweep"]), [run for point in document["points"] for run in point["runs"]]
        is_race = bool(document.get("search", {}).get("racing"))
    except FileNotFoundError:
        return None
    except (OSError, DamagedDocumentError, ValueError, KeyError, TypeError, AttributeError):
        leave_out(f"{sweep.plan}: is damaged and left out; run the sweep again to rebuild it")
        return None
    ended = [records[run_id] for run_id in ids if run_id in records]
    judged = [run for run in ended if run.val is not None]
    judged.sort(key=lambda run: -(run.val.accuracy if run.val else 0.0))
    return SearchUnderWay(
        name,
        tuple(read_points(results, name, records)),
        len(ids),
        sum(run.status == "done" for run in ended),
        sum(run.status == "diverged" for run in ended),
        sweep.winners.is_file(),
        tuple(_closed_run(results, run) for run in judged[:MOST_BEST]),
        is_race,
    )


def _closed_run(results: Path, record: Record) -> RunCurves:
    curves = _curves(RunFolder(results, record.run_id))
    return RunCurves(record.label, record.seed, record.epochs_trained, record.epochs_trained, curves)


def _open_run(folder: RunFolder) -> RunCurves | None:
    """Run without a record. None where its settings cannot be read."""
    try:
        settings = load_settings(folder.settings)
    except (LabError, OSError):
        return None
    curves = _curves(folder)
    done = max((len(curve) for curve in curves.values()), default=0)
    return RunCurves(settings.label, settings.seeds[0], done, settings.epochs, curves)


def _curves(folder: RunFolder) -> dict[str, Curve]:
    """Learning curves of a run by column. Empty before its first epoch ends, and where its file is damaged."""
    try:
        history = folder.read_metrics()
    except LabError:
        return {}
    columns = {name: [getattr(line, name) for line in history] for name in CURVES}
    return {name: values for name, values in columns.items() if any(value is not None for value in values)}
