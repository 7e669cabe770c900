"""Adversarial training: attacked batches within the distance, stacked as separate, and networks that withstand more."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cifar_lab import data
from cifar_lab.config import Settings
from cifar_lab.config.attack import PGD
from cifar_lab.config.io.load import dump_settings, settings_from
from cifar_lab.config.run_id import recipe
from cifar_lab.data.batches import CohortBatches
from cifar_lab.store.records import Record
from cifar_lab.training.adversary import Adversary
from cifar_lab.training.attacks.descent import AttackBatch
from cifar_lab.training.attacks.methods import attack_batch
from cifar_lab.training.attacks.stacking import victims_of
from cifar_lab.training.build import build_cohort, layout, load_training_data
from cifar_lab.training.device import prepare_execution
from cifar_lab.training.trained.network import load_trained

pytestmark = pytest.mark.xdist_group("attacks")


def attacked(settings: Settings, *, stacked: bool, epochs: int = 1) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(clean, attacked) batches of two members."""
    fingerprint = data.prepare(settings.data).fingerprint
    execution = prepare_execution(settings.runtime, 1)
    splits = load_training_data(settings, fingerprint, execution, layout(settings, execution, stacked=stacked))
    batches = CohortBatches(splits.training, settings.data, [0, 1])
    cohort, _ = build_cohort([settings] * 2, [0, 1], 10, batches.steps_per_epoch, execution, stacked=stacked)
    assert (cohort.stacked is not None) == stacked
    adversary = Adversary(settings.adversarial, cohort, splits.training.normalizer, [0, 1], execution)
    found = [images for images, _ in adversary.epoch(batches.epoch(0), 0)]
    assert all(network.training for network in cohort.networks)
    return list(zip([images for images, _ in batches.epoch(0)], found, strict=True))


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("normalize", ["half", "channel", "none"])
def test_attacked_batches_stay_within_the_distance_in_pixels(lab: Any, norm: str, normalize: str) -> None:
    eps = 8 / 255 if norm == "linf" else 0.5
    settings = lab.settings(f"adversarial.norm={norm}", f"adversarial.eps={eps}", f"data.normalize={normalize}")
    info = data.prepare(settings.data)
    std = {"half": [0.5] * 3, "channel": list(info.channel_std), "none": [1.0] * 3}[normalize]
    for clean, images in attacked(settings, stacked=False):
        change = (images - clean) * torch.tensor(std).view(3, 1, 1)
        sizes = change.flatten(2).abs().amax(dim=2) if norm == "linf" else change.flatten(2).norm(dim=2)
        assert float(sizes.max()) <= eps * 1.001
        assert float(sizes.median()) > 0.5 * eps


def test_stacked_members_see_the_images_that_they_see_alone(lab: Any) -> None:
    settings = lab.settings("adversarial.eps=4/255", "adversarial.steps=3")
    pairs = zip(attacked(settings, stacked=True), attacked(settings, stacked=False), strict=True)
    for (_, together), (_, alone) in pairs:
        assert float((together - alone).abs().gt(1e-4).double().mean()) < 0.002


def test_without_a_distance_nothing_is_in_the_id_or_in_the_file() -> None:
    plain = Settings()
    assert recipe(settings_from({"adversarial": {"steps": 3}})) == recipe(plain)
    assert "adversarial" not in recipe(plain)
    assert "adversarial" not in dump_settings(plain)
    assert recipe(settings_from({"adversarial": {"eps": "8/255"}}))["adversarial"] == {"eps": 8 / 255}
    assert "adversarial:" in dump_settings(settings_from({"adversarial": {"eps": 0.1}}))


@pytest.mark.slow
def test_an_adversarially_trained_network_withstands_more_and_is_less_accurate(lab: Any) -> None:
    small = ("data.train_size=800", "data.test_size=400", "data.difficulty=0.5", "epochs=8", "optimizer.name=adam",
             "optimizer.lr=0.002")  # fmt: skip
    arms = {"plain": small, "adversarial": (*small, "adversarial.eps=12/255", "adversarial.steps=3")}
    clean, robust = {}, {}
    for name, overrides in arms.items():
        settings = lab.settings(*overrides)
        records: list[Record] = [lab.make(lab.job(settings, seed=seed)) for seed in (0, 1)]
        clean[name] = sum(record.test.accuracy for record in records if record.test is not None) / 2
        victims = victims_of([load_trained(lab.results, record, settings) for record in records])
        split = data.load_test(settings.data)
        batch = AttackBatch(torch.from_numpy(split.images[:200]).float() / 255, torch.from_numpy(split.labels[:200]))
        (level,) = attack_batch(PGD(eps=(12 / 255,), steps=10), victims, batch, 0).levels
        robust[name] = float(level.correct.double().mean())
        if name == "adversarial":
            assert records[0].environment.kernels == "torch"
            assert "adversarial training" in str(records[0].environment.kernels_reason)
            assert "attacked images" in " ".join(records[0].notes)
    assert robust["adversarial"] > robust["plain"] + 0.05
    assert clean["adversarial"] < clean["plain"]
