"""Trained networks to attack: two seeds of Net on synthetic images, made once per module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from cifar_lab import data
from cifar_lab.analysis.factors import settings_of
from cifar_lab.store.records import Record
from cifar_lab.training.attacks.descent import AttackBatch
from cifar_lab.training.trained.network import TrainedNetwork, load_trained

TRAINED = (
    "data.train_size=800", "data.test_size=400", "data.difficulty=0.3", "epochs=6", "optimizer.name=adam",
    "optimizer.lr=0.002",
)  # fmt: skip


@dataclass
class TrainedPair:
    """Two networks and test images."""

    lab: Any
    records: list[Record]

    def networks(self) -> list[TrainedNetwork]:
        """Both, loaded anew: stacking changes the memory of parameters."""
        return [load_trained(self.lab.results, record, settings_of(record)) for record in self.records]

    def batch(self, count: int = 100) -> AttackBatch:
        """The first test images."""
        record = self.records[0]
        split = data.load_test(settings_of(record).data, record.data.fingerprint)
        return AttackBatch(torch.from_numpy(split.images[:count]).float() / 255, torch.from_numpy(split.labels[:count]))


@pytest.fixture(scope="module")
def pair(shared_lab: Any) -> TrainedPair:
    torch.set_num_threads(1)
    settings = shared_lab.settings(*TRAINED)
    records = [shared_lab.make(shared_lab.job(settings, seed=seed)) for seed in (0, 1)]
    return TrainedPair(shared_lab, records)
