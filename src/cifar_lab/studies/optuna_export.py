"""Export of a sweep as an Optuna study in an SQLite file, for its dashboard. The file is never read back."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cifar_lab.core.atomic_io import write_bytes
from cifar_lab.core.errors import DataError, SettingsError
from cifar_lab.core.files import read_file, require_file
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.context import RunContext
from cifar_lab.execution.plan import run_ids_of
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder
from cifar_lab.studies.run_sweep import sweep_status
from cifar_lab.studies.search import SearchState
from cifar_lab.studies.space.agreement import drawn_axes
from cifar_lab.studies.space.conditions import Space
from cifar_lab.studies.space.points import Point, PointResult
from cifar_lab.studies.space.tpe import distributions_of, import_optuna, params_of, present_axes, quiet_optuna
from cifar_lab.studies.space.winners import search_settings
from cifar_lab.studies.sweep import Sweep

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

MARK = "cifar_lab_sweep"
"""Attribute of an exported study. Files without it are not replaced."""


def export_optuna(sweep: Sweep, results: Path, path: Path) -> int:
    """Write each complete, pruned or dropped point as a trial, and return the number of trials.

    The value of a trial is the mean validation accuracy over the seeds, with 0 for a run that diverged. Its
    intermediate values are the means per epoch. Its attributes hold the run ids.

    Raises:
        MissingExtraError: Optuna is not installed.
        SettingsError: `path` is another file.
        DataError: no point is complete yet.
        EnvironmentFault: the file cannot be written.
    """
    import_optuna("--export-optuna")
    _refuse_other_files(path)
    images = DatasetCatalog()
    sweep = sweep.for_images(images)
    state = sweep_status(sweep, RunContext(results)).state
    points = state.points if images.known(sweep.base.data) is not None else []
    found = [_trial(sweep, point, state, results, images) for point in points]
    trials = [trial for trial in found if trial is not None]
    if not trials:
        raise DataError(f"{results}: no point of {sweep.name} has finished yet; run the sweep first")
    with quiet_optuna() as optuna, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "study.db"
        storage = optuna.storages.RDBStorage(f"sqlite:///{file}")
        study = optuna.create_study(study_name=sweep.name, direction="maximize", storage=storage)
        study.set_user_attr(MARK, sweep.name)
        study.add_trials(trials)
        storage.engine.dispose()
        write_bytes(path, read_file(file))
    return len(trials)


def _trial(sweep: Sweep, point: Point, state: SearchState, results: Path, images: DatasetCatalog) -> FrozenTrial | None:
    """The point as a trial. None where it is not complete yet."""
    import optuna

    run_ids = run_ids_of(search_settings(point.settings, sweep.search), images)[: state.seeds.get(point.name)]
    pruned_after = state.pruned.get(point.name)
    folders = [RunFolder(results, run_id) for run_id in run_ids]
    records = [record for folder in folders if (record := folder.read_record()) is not None]
    is_pruned = pruned_after is not None or point.name in state.dropped
    if not is_pruned and len(records) < len(run_ids):
        return None
    accuracies = tuple(record.val.accuracy if record.val else None for record in records)
    axes = present_axes(Space(drawn_axes(sweep.sheet), sweep.base), point.values)
    if {key for axis in axes for key in axis.keys} != set(point.values):
        axes = []  # an arm of the file: a point outside the space has no parameters
    trial = optuna.trial.create_trial(
        state=optuna.trial.TrialState.PRUNED if is_pruned else optuna.trial.TrialState.COMPLETE,
        values=None if is_pruned else [PointResult(point, accuracies).value],
        params=params_of(point.values, axes),
        distributions=distributions_of(axes),
        intermediate_values=_val_curve(folders, pruned_after),
        user_attrs={"label": point.name, "runs": run_ids, "diverged": accuracies.count(None)},
    )
    if not is_pruned:
        trial.datetime_start, trial.datetime_complete = _local_times(records)
    return trial


def _val_curve(folders: Sequence[RunFolder], last_epoch: int | None) -> dict[int, float]:
    """Mean validation accuracy by epoch, for the epochs that all runs have."""
    curves = [[line.val_accuracy for line in folder.read_metrics()] for folder in folders]
    rows = list(zip(*curves, strict=False))[:last_epoch]
    finite = [(epoch, [value for value in row if value is not None]) for epoch, row in enumerate(rows, 1)]
    return {epoch: fmean(values) for epoch, values in finite if len(values) == len(folders)}


def _local_times(records: Sequence[Record]) -> tuple[datetime, datetime]:
    """Start of the first run and end of the last, as naive local times like those of Optuna."""
    started = min(datetime.fromisoformat(record.started) for record in records)
    finished = max(datetime.fromisoformat(record.finished) for record in records)
    return started.astimezone().replace(tzinfo=None), finished.astimezone().replace(tzinfo=None)


def _refuse_other_files(path: Path) -> None:
    """Refuse to replace a file that is no export.

    Raises:
        SettingsError: the file is something else.
    """
    if not path.exists():
        return
    try:
        require_file(path)  # SQLite would wait for a pipe
        with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as file:
            marks: list[Any] = file.execute("SELECT key FROM study_user_attributes").fetchall()
    except (OSError, sqlite3.Error):
        marks = []
    if (MARK,) not in marks:
        raise SettingsError(f"--export-optuna: {path} exists and is not an export of a sweep; name another file")
