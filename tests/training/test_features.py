"""Frozen layers that are computed once: the numbers of a run without it, in any form of a step, and exact resume."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cifar_lab.core.errors import Interrupted
from cifar_lab.store.records import Record
from cifar_lab.training import features
from cifar_lab.training.job import Job
from cifar_lab.training.run import run_cohort

PLAIN = ("data.val_size=40", "epochs=3")
PROBE = ("model.name=Net1", "model.freeze=all_but_head")

OWN = """
from torch import nn
class Mine(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 5, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5))
        self.classifier = nn.Sequential(nn.Dropout(0.5), nn.Linear(4 * 14 * 14, num_classes))
    def forward(self, images):
        return self.classifier(self.body(images).flatten(1))
"""


def made(lab: Any, *overrides: str, results: str = "results", seed: int = 0) -> tuple[Job, Record]:
    job = lab.job(lab.settings(*PLAIN, *overrides), results=results, seed=seed)
    return job, lab.make(job)


def weights(lab: Any, job: Job) -> dict[str, torch.Tensor]:
    return load_file(lab.run_folder(job).weights)


def uncached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute frozen layers in each step."""
    monkeypatch.setattr(features, "MAX_FEATURE_BYTES", -1)


ARMS = {
    "probe": PROBE,
    "two layers": ("model.name=Net1", "model.freeze=[stem, conv2]", "optimizer.name=adam"),
    "ResNet18": ("model.name=ResNet18", "model.freeze=[stem, layer1, layer2, layer3]", "epochs=2"),
    "flips": (*PROBE, "data.flip=true"),
    "adagrad": (*PROBE, "optimizer.name=adagrad"),
}


@pytest.mark.parametrize(
    "arm", [name if name != "ResNet18" else pytest.param(name, marks=pytest.mark.slow) for name in ARMS]
)
def test_the_numbers_are_those_of_a_run_that_computes_them_in_each_step(
    lab: Any, arm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = ARMS[arm]
    plain = [each for each in PLAIN if not each.startswith("epochs") or "epochs=2" not in overrides]
    job = lab.job(lab.settings(*plain, *overrides))
    record = lab.make(job)
    assert any("computed once per image" in note for note in record.notes), record.notes
    uncached(monkeypatch)
    other = lab.job(lab.settings(*plain, *overrides), results="each step")
    expected = lab.make(other)
    assert any("computed in each step: their values would take" in note for note in expected.notes)
    ours, theirs = weights(lab, job), weights(lab, other)
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-4, atol=1e-5)
    assert record.val.loss == pytest.approx(expected.val.loss, rel=1e-5)
    assert record.test.loss == pytest.approx(expected.test.loss, rel=1e-5)


def test_the_frozen_layers_see_each_image_once(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    compute = features.Features._compute
    monkeypatch.setattr(
        features.Features, "_compute", lambda own, trunk: (seen.append(len(own)), compute(own, trunk))[1]
    )
    _, record = made(lab, *PROBE)
    assert seen == [record.data.train_size, record.data.val_size]


def test_a_run_that_stops_after_each_epoch_has_the_bits_of_one_that_does_not(lab: Any) -> None:
    whole, _ = made(lab, *PROBE, "optimizer.name=adam", results="whole")
    job = lab.job(lab.settings(*PLAIN, *PROBE, "optimizer.name=adam"))
    for _ in range(2):
        with pytest.raises(Interrupted):
            lab.make(job, should_stop=lambda: True)
    lab.make(job)
    folders = [lab.run_folder(each) for each in (job, whole)]
    assert folders[0].weights.read_bytes() == folders[1].weights.read_bytes()
    assert folders[0].predictions.read_bytes() == folders[1].predictions.read_bytes()


@pytest.mark.parametrize("same", [True, False], ids=["one trunk", "a trunk per seed"])
def test_members_of_a_cohort_have_the_numbers_of_runs_alone(lab: Any, same: bool) -> None:
    source, _ = made(lab, "model.name=Net1", results="cohort", seed=3)
    own = (*PROBE, *((f"model.weights={lab.run_folder(source).weights}",) if same else ()))
    jobs = [lab.job(lab.settings(*PLAIN, *own), seed=seed, results="cohort") for seed in (0, 1)]
    ends: dict[str, Any] = {}
    run_cohort(jobs, lambda job, event: None, lambda: False, lambda job, end: ends.update({job.run_id: end}))
    notes = [ends[job.run_id].notes for job in jobs]
    assert all("computed once per image" in note[-1] for note in notes), notes
    for job in jobs:
        assert ends[job.run_id].environment.stacked
        alone, record = made(lab, *own, results="alone", seed=job.seed)
        for name, value in weights(lab, alone).items():
            torch.testing.assert_close(weights(lab, job)[name], value, rtol=1e-3, atol=1e-4)
        assert ends[job.run_id].val.loss == pytest.approx(record.val.loss, rel=1e-4)


def test_of_a_model_of_the_user_the_end_is_found(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropout before the head stays in the steps, and that of the frozen layers is off."""
    path = lab.folder / "mine.py"
    path.write_text(OWN, encoding="utf-8")
    arm = (f"model.name={path}:Mine", "model.freeze=all_but_head")
    job, record = made(lab, *arm)
    assert record.notes[-1].startswith("the layers below classifier.0 are computed once per image"), record.notes
    uncached(monkeypatch)
    other, _ = made(lab, *arm, results="each step")
    for name, value in weights(lab, other).items():
        torch.testing.assert_close(weights(lab, job)[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            "return self.classifier(self.body(images).flatten(1)) * 1",
            "its last layers are not one module after the other",
        ),
        (
            "return self.classifier(nn.functional.dropout(self.body(images), 0.5, self.training).flatten(1))",
            "its frozen layers draw random numbers",
        ),
    ],
)
def test_other_code_is_computed_in_each_step(lab: Any, change: str, reason: str) -> None:
    path = lab.folder / "mine.py"
    path.write_text(OWN.replace("return self.classifier(self.body(images).flatten(1))", change), encoding="utf-8")
    _, record = made(lab, f"model.name={path}:Mine", "model.freeze=all_but_head")
    assert record.notes[-1] == f"the frozen layers are computed in each step: {reason}"


def test_stages_cut_the_network_where_each_ends(lab: Any) -> None:
    _, record = made(lab, "model.name=Net", "fine_tune.gradual_unfreeze=1")
    below = [note.partition("the layers below ")[2].partition(" ")[0] for note in record.notes]
    assert below == ["fc3", "fc2", "fc1"]
    assert json.loads(record.model_dump_json()).get("frozen_parameters") is not None
