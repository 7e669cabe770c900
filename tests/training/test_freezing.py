"""Frozen layers keep their first values, whatever makes the steps and wherever the run stops."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cifar_lab import models
from cifar_lab.core.errors import Interrupted, SettingsError
from cifar_lab.data.random_streams import seeded_init
from cifar_lab.store.records import Record
from cifar_lab.training.job import Job
from cifar_lab.training.run import run_cohort

PLAIN = ("data.val_size=40", "optimizer.weight_decay=0.01")


def first_state(job: Job) -> dict[str, torch.Tensor]:
    with seeded_init(job.seed):
        return models.build(job.settings.model, 10).state_dict()


def moved(lab: Any, job: Job) -> set[str]:
    """Parameters and statistics that differ from those at the start."""
    first, last = first_state(job), load_file(lab.run_folder(job).weights)
    return {name for name, value in first.items() if not torch.equal(value, last[name])}


def made(lab: Any, *overrides: str, results: str = "results", seed: int = 0) -> tuple[Job, Record]:
    job = lab.job(lab.settings(*PLAIN, *overrides), results=results, seed=seed)
    return job, lab.make(job)


def test_all_but_the_head_stand_still_with_their_statistics(lab: Any) -> None:
    job, record = made(lab, "model.name=Net1", "model.freeze=all_but_head")
    assert moved(lab, job) == {"fc3.weight", "fc3.bias"}
    assert (record.parameters, record.frozen_parameters, record.schema_) == (850, 61_440, 5)
    assert record.environment.kernels == "torch"


@pytest.mark.parametrize(
    ("freeze", "still"),
    [
        ("[stem]", ("conv1.", "bn1.")),
        ("[conv1]", ("conv1.",)),
        ("[bn2, conv2.bias]", ("bn2.", "conv2.bias")),
        ("[fc3, stem]", ("fc3.", "conv1.", "bn1.")),
    ],
)
def test_layers_modules_and_parameters_are_frozen_by_name(lab: Any, freeze: str, still: tuple[str, ...]) -> None:
    job, _ = made(lab, "model.name=Net1", f"model.freeze={freeze}")
    assert moved(lab, job) == {name for name in first_state(job) if not name.startswith(still)}


def test_every_batchnorm_stands_still(lab: Any) -> None:
    job, _ = made(lab, "model.name=Net1", "fine_tune.batchnorm=frozen")
    assert moved(lab, job) == {name for name in first_state(job) if not name.startswith("bn")}


STAGED = ("model.name=Net1", "epochs=4", "fine_tune.freeze_epochs=2", "optimizer.name=adam")
GRADUAL = ("model.name=Net1", "epochs=5", "fine_tune.gradual_unfreeze=1", "scheduler.name=one_cycle")


def bits(lab: Any, job: Job) -> tuple[bytes, list[Any]]:
    folder = lab.run_folder(job)
    lines = [line.model_copy(update={"seconds": 0.0}) for line in folder.read_metrics()]
    return folder.weights.read_bytes(), lines


@pytest.mark.parametrize("arm", [STAGED, GRADUAL], ids=["freeze_epochs", "gradual_unfreeze"])
def test_a_run_that_stops_after_each_epoch_has_the_bits_of_one_that_does_not(lab: Any, arm: tuple[str, ...]) -> None:
    whole, record = made(lab, *arm, results="whole")
    job = lab.job(lab.settings(*PLAIN, *arm))
    for _ in range(record.epochs_trained - 1):
        with pytest.raises(Interrupted):
            lab.make(job, should_stop=lambda: True)
    lab.make(job)
    assert bits(lab, job) == bits(lab, whole)
    assert record.frozen_parameters == 0


def test_the_layers_below_the_head_join_after_their_epochs(lab: Any) -> None:
    for epochs, joined in ((2, ("fc3", "fc2")), (3, ("fc3", "fc2", "fc1", "bn3"))):
        job, _ = made(lab, "model.name=Net1", "fine_tune.gradual_unfreeze=1", f"epochs={epochs}")
        assert {name.partition(".")[0] for name in moved(lab, job)} == set(joined)


def test_members_of_a_cohort_freeze_as_alone(lab: Any) -> None:
    arm = ("model.name=Net1", "epochs=3", "fine_tune.freeze_epochs=1", "model.freeze=[stem]", "optimizer.lr=0.0002")
    jobs = [lab.job(lab.settings(*PLAIN, *arm), seed=seed) for seed in (0, 1)]
    ends: dict[str, Any] = {}
    run_cohort(jobs, lambda job, event: None, lambda: False, lambda job, end: ends.update({job.run_id: end}))
    for job in jobs:
        assert ends[job.run_id].environment.stacked, ends[job.run_id]
        alone, _ = made(lab, *arm, results="alone", seed=job.seed)
        ours, theirs = (load_file(lab.run_folder(each).weights) for each in (job, alone))
        assert moved(lab, job) == {name for name in ours if not name.startswith(("conv1.", "bn1."))}
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize(
    ("freeze", "message"),
    [
        ("[layer1]", "model.freeze: Net has no layer1; its layers are conv1, conv2, fc1, fc2, fc3"),
        ("[convl]", "model.freeze: Net has no convl; did you mean conv2 or conv1?"),
        ("[all_but_head]", "model.freeze: all_but_head is not one of a list; write model.freeze: all_but_head"),
        ("[conv1, conv2, fc1, fc2, fc3]", "model.freeze: nothing is left to train; leave out fc3"),
    ],
)
def test_a_layer_that_is_not_there_is_refused(lab: Any, freeze: str, message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        made(lab, f"model.freeze={freeze}")
    assert message in str(refused.value)


OWN = """
from torch import nn
class Mine(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 5, 2), nn.BatchNorm2d(4, affine=False), nn.ReLU(), nn.Dropout(0.5))
        self.fc = nn.Linear(4 * 14 * 14, num_classes)
        self.bn = nn.BatchNorm2d(3)
    def forward(self, images):
        return self.fc(self.body(self.bn(images)).flatten(1))
"""


def test_the_head_of_a_model_is_the_last_in_its_forward_pass(lab: Any) -> None:
    path = lab.folder / "mine.py"
    path.write_text(OWN, encoding="utf-8")
    job, record = made(lab, f"model.name={path}:Mine", "model.freeze=all_but_head")
    assert moved(lab, job) == {"fc.weight", "fc.bias"}
    assert record.frozen_parameters == 3 * 4 * 25 + 4 + 6


RATES = ("fine_tune.layer_decay=0.5", "fine_tune.head_lr_factor=3", "optimizer.groups=[{match: bias, lr_factor: 0.1}]")
SAME = """optimizer.groups=[
  {match: '^fc3.weight', lr_factor: 3}, {match: '^fc3.bias', lr_factor: 0.3},
  {match: '^fc2.weight', lr_factor: 0.5}, {match: '^fc2.bias', lr_factor: 0.05},
  {match: '^fc1.weight', lr_factor: 0.25}, {match: '^fc1.bias', lr_factor: 0.025},
  {match: '^conv2.weight', lr_factor: 0.125}, {match: '^conv2.bias', lr_factor: 0.0125},
  {match: '^conv1.weight', lr_factor: 0.0625}, {match: '^conv1.bias', lr_factor: 0.00625}]"""


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "adagrad"])
def test_layer_decay_is_a_learning_rate_per_layer(lab: Any, optimizer: str) -> None:
    """lr · decay^depth from the head, as timm has it, times the factor of the group."""
    one, _ = made(lab, *RATES, f"optimizer.name={optimizer}")
    other, _ = made(lab, SAME.replace("\n", ""), f"optimizer.name={optimizer}", results="groups")
    ours, theirs = (load_file(lab.run_folder(each).weights) for each in (one, other))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert one.run_id != other.run_id


def test_members_of_a_cohort_have_their_own_layer_decay(lab: Any) -> None:
    arms = [("model.name=Net1", f"fine_tune.layer_decay={decay}") for decay in (1.0, 0.5)]
    jobs = [lab.job(lab.settings(*PLAIN, *arm)) for arm in arms]
    ends: dict[str, Any] = {}
    run_cohort(jobs, lambda job, event: None, lambda: False, lambda job, end: ends.update({job.run_id: end}))
    for job, arm in zip(jobs, arms, strict=True):
        assert ends[job.run_id].environment.stacked, ends[job.run_id]
        alone, _ = made(lab, *arm, results="alone")
        ours, theirs = (load_file(lab.run_folder(each).weights) for each in (job, alone))
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, rtol=2e-3, atol=2e-4)


def test_a_group_of_a_layer_that_joins_later_is_known_before(lab: Any) -> None:
    groups = "optimizer.groups=[{match: conv1, lr_factor: 0}]"
    job, _ = made(lab, groups, "epochs=2", "fine_tune.freeze_epochs=1")
    assert moved(lab, job) == {name for name in first_state(job) if not name.startswith("conv1")}
    with pytest.raises(SettingsError, match="is found in no name of a trainable parameter"):
        made(lab, groups, "model.freeze=[conv1]")


def test_an_average_of_the_weights_keeps_the_statistics_of_frozen_layers(lab: Any) -> None:
    arm = ("model.name=Net1", "model.freeze=[stem]", "average.name=ema", "average.half_life_epochs=0.1")
    job, _ = made(lab, *arm)
    assert moved(lab, job) == {name for name in first_state(job) if not name.startswith(("conv1.", "bn1."))}
    staged, record = made(lab, "model.name=Net1", *arm[2:], "fine_tune.freeze_epochs=1")
    assert record.status == "done"
    assert "conv1.weight" in moved(lab, staged)
