"""Runs without a record: their state, settings, label, seed and epochs so far."""

from __future__ import annotations

from cifar_lab.config import Settings
from cifar_lab.config.io.load import load_settings
from cifar_lab.config.run_id import recipe, run_id
from cifar_lab.core.errors import LabError, SettingsError
from cifar_lab.data import DatasetCatalog
from cifar_lab.store.failures import read_failure
from cifar_lab.store.left_out import leave_out
from cifar_lab.store.records import EpochMetrics, Record
from cifar_lab.store.results import DamagedFileError, RunFolder


def unfinished_words(folder: RunFolder, pruned_after: int | None) -> str:
    """State of a run without a record: failed, pruned, running or interrupted."""
    state, failure = folder.unfinished_state(), read_failure(folder)
    if state == "interrupted" and failure is not None:
        return f"failed ({failure.kind})"
    return f"pruned after epoch {pruned_after}" if state == "interrupted" and pruned_after else state


def history(folder: RunFolder, record: Record | None = None) -> list[EpochMetrics] | None:
    """Epochs of a run. None where their file is damaged, which is named."""
    try:
        return folder.read_metrics(record)
    except DamagedFileError as fault:
        leave_out(folder.left_out(fault.path, fault.what))
        return None


def unfinished_settings(folder: RunFolder, images: DatasetCatalog, copy_of: str | None = None) -> Settings | None:
    """Settings of a run without a usable record. None where they are missing or damaged, which is named.

    Args:
        copy_of: id of the run that the folder is a copy of.
    """
    begun = folder.has_checkpoint() or folder.metrics.exists()
    if not folder.settings.exists() and not begun:
        return None  # it failed, or was stopped, before its settings were written
    try:
        settings = load_settings(folder.settings)
    except SettingsError:
        leave_out(folder.left_out(folder.settings, "is missing or damaged"))
        return None
    if _expected_id(settings, images) not in (None, copy_of or folder.path.name):
        leave_out(folder.left_out(folder.settings, "is damaged (its settings are those of another run)"))
        return None
    return settings


def _expected_id(settings: Settings, images: DatasetCatalog) -> str | None:
    """Id of the run of these settings. None where its images, or the files that it names, are not there."""
    try:
        info = images.known(settings.data)
        return None if info is None else run_id(recipe(settings), info.fingerprint, settings.seeds[0])
    except LabError:
        return None


def label_and_seed(folder: RunFolder, settings: Settings | None) -> tuple[str, int | None]:
    """Label and seed of a run without a record, from its settings or its failure. Neither where both cannot be read."""
    if settings is not None:
        return settings.label, settings.seeds[0]
    failure = read_failure(folder)
    return (failure.label, failure.seed) if failure is not None else ("", None)
