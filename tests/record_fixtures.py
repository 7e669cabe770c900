"""Records as a run would leave them, without training: the settings are real, the scores are chosen."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cifar_lab.config import Settings
from cifar_lab.config.run_id import recipe, run_id
from cifar_lab.core.host import processor_name
from cifar_lab.store.records import DataIdentity, Environment, Record, SplitScore
from cifar_lab.store.results import RunFolder

MakeRecord = Callable[..., Record]
SaveRecords = Callable[..., None]


def score(accuracy: float, classes: int = 10) -> SplitScore:
    return SplitScore(
        accuracy=accuracy, loss=1.0, per_class=(accuracy,) * classes, confusion=((5,) * classes,) * classes
    )


def record(
    accuracy: float | None,
    seed: int = 0,
    settings: Settings | None = None,
    *,
    label: str = "",
    data: str = "cifar10",
    images: str = "a",
    classes: int = 10,
    **changes: Any,
) -> Record:
    """A record; `accuracy` None is a diverged run, `images` stands for the pixels behind the fingerprint."""
    settings = settings or Settings()
    fingerprint = hashlib.sha256(f"{data} {images}".encode()).hexdigest()
    plain = recipe(settings)
    values: dict[str, Any] = {
        "run_id": run_id(plain, fingerprint, seed),
        "recipe": plain,
        "settings": settings.model_dump(mode="json"),
        "label": label or settings.label or "an arm",
        "seed": seed,
        "status": "done",
        "epochs_trained": settings.epochs,
        "parameters": 62_006,
        "val": None,
        "test": None,
        "train_seconds": 10.0 + seed,
        "started": "2026-11-01T10:00:00Z",
        "finished": f"2026-11-01T10:00:{seed % 60:02d}Z",
        "data": DataIdentity(
            name=data, fingerprint=fingerprint, split_hash=None, classes=tuple(map(str, range(classes))),
            train_size=45_000, val_size=5_000, test_size=10_000,
        ),
        "environment": Environment(
            cifar_lab="0", python="3", torch="2", torchvision="0", numpy="2", platform="p", device="cpu",
            device_name="d", threads=1, git_commit=None, git_dirty=None,
        ),
    }  # fmt: skip
    if accuracy is None:
        values |= {"status": "diverged", "reason": "loss is nan at step 7", "test_reason": "diverged"}
    else:
        values |= {"test": score(accuracy, classes)}
    return Record(**{**values, **changes})


def with_predictions(results: Path, made: Record, labels: np.ndarray, logits: np.ndarray) -> Record:
    """The record with predictions, which are written into its folder, and with the accuracy that they give."""
    buffer = io.BytesIO()
    np.savez(buffer, labels=labels, logits=logits)
    content = buffer.getvalue()
    folder = RunFolder(results, made.run_id)
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.predictions.write_bytes(content)
    name = folder.predictions.name
    test = score(float((logits.argmax(axis=1) == labels).mean()), len(made.data.classes))
    changes = {
        "test": test, "files": {name: hashlib.sha256(content).hexdigest()}, "sizes": {name: len(content)},
        "data": made.data.model_copy(update={"test_size": len(labels)}),
    }  # fmt: skip
    return made.model_copy(update=changes)


def timed_record(seconds: float, *, batch: int = 64, model: str = "Net", **environment: Any) -> Record:
    """The record of a run on this machine that took so long for 10 epochs of 45,000 images."""
    made = record(0.5, epochs_trained=10, train_seconds=seconds)
    settings = {**made.settings, "data": {"batch_size": batch}, "model": {"name": model}}
    device = {"device_name": processor_name(), **environment}
    return made.model_copy(update={"settings": settings, "environment": made.environment.model_copy(update=device)})


@pytest.fixture
def make_record() -> MakeRecord:
    return record


@pytest.fixture(scope="module")
def module_record() -> MakeRecord:
    """`make_record` for fixtures that live longer than a test."""
    return record


@pytest.fixture
def save_records() -> SaveRecords:
    """Write records into a results folder."""

    def save(results: Path, *records: Record) -> None:
        for each in records:
            folder = RunFolder(results, each.run_id)
            folder.path.mkdir(parents=True, exist_ok=True)
            folder.write_record(each)

    return save
