"""The way from a weights file: train, save, go on from it on other images, better than from scratch."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cifar_lab import models
from cifar_lab.config import ResNet18Model
from cifar_lab.data.random_streams import seeded_init
from cifar_lab.models import LAST_LAYER

SEEDS = (0, 1, 2)


@pytest.mark.slow
def test_fine_tuning_from_the_weights_of_a_run_beats_training_from_scratch(lab: Any) -> None:
    """Few images of another draw and few epochs; paired over seeds, every one the same way."""
    first = lab.file(
        "first", "data.data_seed=1", "data.train_size=2000", "data.difficulty=0.2", "optimizer.name=adam", "epochs=6"
    )
    code, _, said = lab.command("run", first)
    assert code == 0, said
    (trained,) = lab.records()
    weights = lab.results / "runs" / trained.run_id / "weights.safetensors"

    small = ("data.data_seed=2", "data.train_size=200", "data.difficulty=0.2", "optimizer.name=adam", "epochs=4")
    gains = []
    for seed in SEEDS:
        scratch, tuned = (
            lab.make(lab.job(lab.settings(*small, *more), seed=seed)) for more in ((), (f"model.weights={weights}",))
        )
        assert scratch.run_id != tuned.run_id
        assert scratch.data.fingerprint == tuned.data.fingerprint != trained.data.fingerprint
        assert scratch.test is not None
        assert tuned.test is not None
        gains.append(tuned.test.accuracy - scratch.test.accuracy)
    assert min(gains) > 0
    assert fmean(gains) > 0.1


def test_a_fine_tuned_run_begins_with_the_weights_and_a_last_layer_of_its_own(lab: Any) -> None:
    """With a learning rate of nearly 0 a run's saved weights are those that it began with."""
    still = ("optimizer.lr=1e-30", "optimizer.momentum=0", "epochs=1")
    source = lab.job(lab.settings("data.data_seed=1"))
    lab.make(source)
    weights = lab.run_folder(source).weights
    job = lab.job(lab.settings(*still, f"model.weights={weights}"), seed=4)
    lab.make(job)
    before, after = load_file(weights), load_file(lab.run_folder(job).weights)
    new = {key for key in before if not torch.equal(before[key], after[key])}
    assert new == {f"{LAST_LAYER['Net']}.weight", f"{LAST_LAYER['Net']}.bias"}


def test_a_run_is_named_by_the_content_of_its_weights_and_not_by_their_path(lab: Any) -> None:
    source = lab.job(lab.settings())
    lab.make(source)
    weights, copy = lab.run_folder(source).weights, lab.folder / "copy.safetensors"
    copy.write_bytes(weights.read_bytes())
    ids = [lab.job(lab.settings(f"model.weights={path}")).run_id for path in (weights, copy)]
    assert ids[0] == ids[1] != source.run_id


def test_resnet18_takes_weights_of_1000_classes_from_a_torch_file(lab: Any) -> None:
    path = lab.folder / "resnet18.pt"
    with seeded_init(9):
        source = models.build(ResNet18Model(name="ResNet18"), 1000)
    torch.save(source.state_dict(), path)
    with seeded_init(0):
        network = models.build(ResNet18Model(name="ResNet18", weights=str(path)), 10)
    state = network.state_dict()
    assert state["fc.weight"].shape == (10, 512)
    assert all(torch.equal(state[key], value) for key, value in source.state_dict().items() if key[:3] != "fc.")
