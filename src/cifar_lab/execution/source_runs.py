"""Weights of a finished run of the same results folder, which `model.weights: run:ID` names. No torch."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from cifar_lab.config import Settings
from cifar_lab.config.loss import distillation
from cifar_lab.config.model_options import source_run
from cifar_lab.core.errors import DataError, Problem, SettingsError
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder, find_records, run_ids

SHOWN_RUNS = 3
"""Runs that a message names."""


def with_source_weights(settings: Settings, results: Path) -> Settings:
    """The settings with the weights file of the run that they name. Unchanged where they name none.

    Raises:
        SettingsError: no such run, or it has no trained network.
    """
    if (file := source_weights(settings, results)) is None:
        return settings
    model = settings.model.model_copy(update={"weights": str(file)})
    return settings.model_copy(update={"model": model})


def source_weights(settings: Settings, results: Path) -> Path | None:
    """Weights file of the run in `model.weights: run:ID`. None where the settings name no run.

    Raises:
        SettingsError: no such run, or it has no trained network.
    """
    return _weights_of(settings, "model.weights", settings.model.weights, results)


def check_teacher(settings: Settings, results: Path) -> None:
    """Check that `loss.distill.teacher` names a run with a trained network. Errors as `source_weights`."""
    if (distill := distillation(settings.loss)) is not None:
        _weights_of(settings, "loss.distill.teacher", distill.teacher, results)


def _weights_of(settings: Settings, key: str, stated: str | None, results: Path) -> Path | None:
    """Weights file of the run in `run:ID` at a key. None where it names no run."""
    if (run_id := source_run(stated)) is None:
        return None
    folder, fault = RunFolder(results, run_id), None
    if run_id not in run_ids(results):
        fault = f"no run of this id in {results}; {_suggestion(run_id, results)}"
    elif (record := _record(folder)) is None:
        fault = "this run is not finished; finish it first: repeat its `cifar-lab run` command"
    elif record.status != "done" or folder.weights.name not in record.files:
        fault = "this run diverged, so it has no trained network; name another run"
    elif folder.incomplete_file(record) == folder.weights.name:
        fault = f"{folder.weights} is missing or cut short; train this run again"
    if fault is not None:
        raise SettingsError([Problem(settings.label, key, f"run:{run_id}: {fault}")])
    return folder.weights.absolute()


def _record(folder: RunFolder) -> Record | None:
    try:
        return folder.read_record()
    except DataError:
        return None


def _suggestion(wanted: str, results: Path) -> str:
    """Runs that could be meant: by the beginning of the id, a similar id, or the label of their arm."""
    records = [record for record in find_records(results).records if record.status == "done"]
    ids = [record.run_id for record in records]
    meant = [run_id for run_id in ids if wanted and run_id.startswith(wanted)]
    meant = meant or [record.run_id for record in records if record.label == wanted]
    meant = meant or get_close_matches(wanted, ids, SHOWN_RUNS)
    if meant:
        return f"did you mean {' or '.join(f'run:{run_id}' for run_id in meant[:SHOWN_RUNS])}?"
    return "`cifar-lab list` shows the ids" if ids else "it has no finished run yet"
