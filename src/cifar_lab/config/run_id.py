"""A run is named by what it does: a hash of the settings that can change its numbers, the data and the seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from cifar_lab.config import CustomModel, OneCycle, Section, Settings
from cifar_lab.config.model_source import source_files
from cifar_lab.core.errors import WeightsError
from cifar_lab.core.remote_paths import located

NUMERICS = 1
"""Raised when the same settings come to mean other numbers; every id changes with it."""

DATA_SOURCE_KEYS = frozenset({"dataset", "root", "train_size", "test_size", "difficulty", "data_seed"})
"""Settings that say where images come from; the data fingerprint stands for them."""


def recipe(settings: Settings) -> dict[str, Any]:
    """Everything that can change the numbers but the data set and the seed; values at their default, or without effect
    beside the others, are left out.

    Files are named by their content: pretrained weights and the source of a model of one's own by SHA-256.

    Raises:
        WeightsError: a weights file that cannot be read.
        SettingsError: a model of one's own whose source is not found.
    """
    scheduler, model = settings.scheduler, settings.model
    parts: dict[str, Any] = {
        "data": _stated(settings.data, {*DATA_SOURCE_KEYS, *_idle_data_keys(settings)}),
        "model": {"name": model.name},
        "optimizer": {"name": settings.optimizer.name, **_stated(settings.optimizer)},
        "scheduler": {"name": scheduler.name, **_stated(scheduler, _idle_scheduler_keys(settings))},
        "loss": {"name": settings.loss.name, **_stated(settings.loss)},
        "epochs": settings.epochs,
        "precision": settings.runtime.precision,
    }
    if isinstance(model, CustomModel):
        parts["model"] |= json.loads(json.dumps(model.model_dump(exclude_defaults=True)))
        parts["model"]["name"] = model.name.rpartition("/")[2]
        parts["model"]["source"] = _sha256_of_all(source_files(model.name))
    else:
        parts["model"] |= _stated(model, {"weights"})
        if model.weights is not None:
            parts["model"]["weights"] = _sha256(located(model.weights))
    return parts


def _stated(section: Section, left_out: Collection[str] = ()) -> dict[str, Any]:
    """What a section has beside its defaults, as JSON has it; equal sections share it, so that nobody may change it."""
    return _parsed(section.model_dump_json(exclude_defaults=True, exclude=set(left_out)))


@lru_cache(maxsize=16_384)
def _parsed(text: str) -> dict[str, Any]:
    """Thousands of runs have few sections between them."""
    values: dict[str, Any] = json.loads(text)
    return values


def _idle_data_keys(settings: Settings) -> set[str]:
    """The split's seed decides nothing where no split is cut."""
    return set() if settings.data.val_size else {"split_seed"}


def _idle_scheduler_keys(settings: Settings) -> set[str]:
    """Bounds of a momentum that is not moved."""
    scheduler = settings.scheduler
    still = isinstance(scheduler, OneCycle) and not scheduler.cycle_momentum
    return {"base_momentum", "max_momentum"} if still else set()


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
"""As `json.dumps` with these options, which makes an encoder anew each time."""


def run_id(recipe: dict[str, Any], data_fingerprint: str, seed: int) -> str:
    """16 hex digits: the name of the run's folder."""
    text = _canonical([NUMERICS, recipe, data_fingerprint, seed])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _sha256_of_all(paths: Sequence[Path]) -> str:
    """A single file's own hash, or one over the names and hashes of several."""
    if len(paths) == 1:
        return _sha256(paths[0])
    lines = "".join(f"{path.name} {_sha256(path)}\n" for path in paths)
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


def _sha256(path: Path) -> str:
    try:
        seen = path.stat()
        return _sha256_of(path, seen.st_size, seen.st_mtime_ns)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}); check the path in the settings") from error


@lru_cache(maxsize=256)
def _sha256_of(path: Path, size: int, mtime_ns: int) -> str:
    """Hashed once while it stays as it is: every point of a sweep may name the same large file."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
