"""Records of chosen accuracies, without training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cifar_lab.config import Settings
from cifar_lab.config.run_id import recipe, run_id
from cifar_lab.store.records import DataIdentity, Environment, Record, SplitScore

FINGERPRINT = "ab" * 32


@pytest.fixture
def make_record() -> Callable[[float, int, Settings], Record]:
    def make(accuracy: float, seed: int, settings: Settings) -> Record:
        parts = recipe(settings)
        values: dict[str, Any] = {
            "run_id": run_id(parts, FINGERPRINT, seed),
            "recipe": parts,
            "settings": settings.model_dump(mode="json"),
            "label": settings.label,
            "seed": seed,
            "status": "done",
            "epochs_trained": settings.epochs,
            "parameters": 62_006,
            "val": None,
            "test": SplitScore(accuracy=accuracy, loss=1.0, per_class=(accuracy,), confusion=((10,),)),
            "train_seconds": 10.0,
            "started": "2026-11-01T10:00:00Z",
            "finished": "2026-11-01T10:01:00Z",
            "data": DataIdentity(
                name="cifar10", fingerprint=FINGERPRINT, split_hash=None, classes=("0",), train_size=50_000, val_size=0,
                test_size=10_000,
            ),
            "environment": Environment(
                cifar_lab="0", python="3", torch="2", torchvision="0", numpy="2", platform="p", device="cpu",
                device_name="d", threads=1, git_commit=None, git_dirty=None,
            ),
        }  # fmt: skip
        return Record(**values)

    return make
