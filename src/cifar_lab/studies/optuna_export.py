"""A sweep's points as an Optuna study in an SQLite file, for its dashboard: made from our runs, never read back."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from cifar_lab.core.atomic_io import write_bytes
from cifar_lab.core.errors import DataError, SettingsError
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.context import RunContext
from cifar_lab.execution.plan import run_ids_of
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder
from cifar_lab.studies.search import SearchState
from cifar_lab.studies.space import Point, PointResult, drawn_axes, search_settings
from cifar_lab.studies.space.optuna_study import distributions_of, import_optuna, params_of, quiet
from cifar_lab.studies.sweep import Sweep, look_at_sweep

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

MARK = "cifar_lab_sweep"
"""Attribute of a study that tells whose export it is: no other file is replaced."""


def export_optuna(sweep: Sweep, results: Path, path: Path) -> int:
    """Write every point that is through, or was pruned, as a trial; how many there are.

    A trial has the mean validation accuracy over the seeds as its value (a run that diverged counts as 0), that of each
    epoch as intermediate values, and the ids of its runs.

    Raises:
        SettingsError: Optuna is not installed, or `path` holds something else.
        DataError: no point is through yet.
        EnvironmentFault: the file cannot be written.
    """
    import_optuna()
    _refuse_other_files(path)
    found, images = look_at_sweep(sweep, RunContext(results)).found, DatasetCatalog()
    known = found.points if images.known(sweep.base.data) is not None else []
    trials = [trial for point in known if (trial := _trial(sweep, found, point, results, images)) is not None]
    if not trials:
        raise DataError(f"{results}: no point of {sweep.name} is through yet; run the sweep first")
    with quiet() as optuna, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "study.db"
        storage = optuna.storages.RDBStorage(f"sqlite:///{file}")
        study = optuna.create_study(study_name=sweep.name, direction="maximize", storage=storage)
        study.set_user_attr(MARK, sweep.name)
        study.add_trials(trials)
        storage.engine.dispose()
        write_bytes(path, file.read_bytes())
    return len(trials)


def _trial(sweep: Sweep, found: SearchState, point: Point, results: Path, images: DatasetCatalog) -> FrozenTrial | None:
    """The point as a trial; None where it is not through yet."""
    import optuna

    run_ids = run_ids_of(search_settings(point.settings, sweep.search), images)
    folders = [RunFolder(results, run_id) for run_id in run_ids]
    records = [record for folder in folders if (record := folder.read_record()) is not None]
    pruned = found.pruned.get(point.name)
    if pruned is None and len(records) < len(run_ids):
        return None
    accuracies = tuple(record.val.accuracy if record.val else None for record in records)
    axes = drawn_axes(sweep.sheet)
    is_of_space = {key for axis in axes for key in axis.keys} == set(point.values)
    trial = optuna.trial.create_trial(
        state=optuna.trial.TrialState.COMPLETE if pruned is None else optuna.trial.TrialState.PRUNED,
        values=[PointResult(point, accuracies).value] if pruned is None else None,
        params=params_of(point.values, axes) if is_of_space else {},
        distributions=distributions_of(axes) if is_of_space else {},
        intermediate_values=_curve(folders, pruned),
        user_attrs={"label": point.name, "runs": run_ids, "diverged": accuracies.count(None)},
    )
    if pruned is None:
        trial.datetime_start, trial.datetime_complete = _times(records)
    return trial


def _curve(folders: Sequence[RunFolder], last_epoch: int | None) -> dict[int, float]:
    """Epoch → mean validation accuracy of the runs, as far as all of them have it."""
    curves = [[line.val_accuracy for line in folder.read_metrics()] for folder in folders]
    rows = list(zip(*curves, strict=False))[:last_epoch]
    finite = [(epoch, [value for value in row if value is not None]) for epoch, row in enumerate(rows, 1)]
    return {epoch: fmean(values) for epoch, values in finite if len(values) == len(folders)}


def _times(records: Sequence[Record]) -> tuple[datetime, datetime]:
    """When the first run began and the last ended, in local time without a zone, as Optuna has it."""
    started = min(datetime.fromisoformat(record.started) for record in records)
    finished = max(datetime.fromisoformat(record.finished) for record in records)
    return started.astimezone().replace(tzinfo=None), finished.astimezone().replace(tzinfo=None)


def _refuse_other_files(path: Path) -> None:
    """Nothing is replaced but an export.

    Raises:
        SettingsError: the file is something else.
    """
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True)) as file:
            marks: list[Any] = file.execute("SELECT key FROM study_user_attributes").fetchall()
    except sqlite3.Error:
        marks = []
    if (MARK,) not in marks:
        raise SettingsError(f"--export-optuna: {path} is there and is no export of a sweep; name another file")


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path.absolute()))
