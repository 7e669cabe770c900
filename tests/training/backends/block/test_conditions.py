"""Cohorts and settings that the block kernel takes, and the reasons against the others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest

from cifar_lab.config import Settings
from cifar_lab.config.io.load import load_settings, settings_from
from cifar_lab.config.model import NetModel
from cifar_lab.config.roles import Role, role_of
from cifar_lab.models import nets
from cifar_lab.training.backends.block.conditions import (
    KNOWN,
    MODELS,
    OWN,
    are_mixed,
    check_members,
    check_settings,
    has_enough,
    may_train,
    unknown_settings,
)
from cifar_lab.training.backends.block.shapes import NET1, NET3, Shape
from cifar_lab.training.backends.kept_libraries import KernelsUnavailable

from ...step_runs import ARMS
from .block_runs import LATE_ARMS


def settings(*overrides: str) -> Settings:
    return settings_from({"data": {"dataset": "synthetic"}}, overrides=overrides)


RECIPES = Path(__file__).parents[4] / "configs" / "recipes"
EVERY_ARM = ARMS | LATE_ARMS


@pytest.mark.parametrize("name", EVERY_ARM)
@pytest.mark.parametrize("model", ["Net", "Net1", "Net2"])
def test_every_optimizer_and_schedule_of_a_cohort_is_known(model: str, name: str) -> None:
    check_settings(
        settings(
            *EVERY_ARM[name], f"model.name={model}", "data.crop_padding=4", "data.normalize=channel",
            "data.crop_padding_mode=reflect", "evaluate.tta=flip",
            "loss.label_smoothing=0.1", "data.val_size=100", "data.split_seed=3", "epochs=7",
        )
    )  # fmt: skip


@pytest.mark.parametrize("name", ARMS)
def test_net3_is_known_with_every_optimizer_but_muon(name: str) -> None:
    check_settings(settings(*ARMS[name], "model.name=Net3"))
    with pytest.raises(KernelsUnavailable, match=r"^there are none for muon on a GPU with Net3$"):
        check_settings(settings("model.name=Net3", "optimizer.name=muon"))


def test_the_recipes_of_the_best_networks_are_known() -> None:
    check_settings(load_settings(RECIPES / "net.yaml"))
    check_settings(load_settings(RECIPES / "net_batch_norm.yaml"))
    with pytest.raises(KernelsUnavailable, match=r"^there are none for muon on a GPU with Net3$"):
        check_settings(load_settings(RECIPES / "net.yaml", ["model.name=Net3"]))


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("model.name=Wide", "there are none on a GPU for Wide"),
        ("model.name=ResNet18", "there are none on a GPU for ResNet18"),
        ("optimizer.name=radam", "there are none for the optimizer radam"),
        ("fine_tune.freeze_epochs=1", "there are none for fine_tune.freeze_epochs: 1"),
        ("data.mixup=0.2", "there are none for data.mixup: 0.2"),
        ("runtime.precision=bf16", "there are none for bf16"),
        ("runtime.compile=true", "runtime.compile generates others"),
        ("data.noise_std=0.1", "there are none for data.noise_std: 0.1"),
        ("data.policy=randaugment", "there are none for data.policy: randaugment"),
    ],
)
def test_others_have_a_reason(override: str, reason: str) -> None:
    with pytest.raises(KernelsUnavailable) as caught:
        check_settings(settings(override))
    assert str(caught.value) == reason


def test_code_of_the_user_has_a_reason(tmp_path: Path) -> None:
    with pytest.raises(KernelsUnavailable, match=r"^there are none on a GPU for tiny.py:Tiny$"):
        check_settings(settings(f"model.name={tmp_path}/tiny.py:Tiny"))
    with pytest.raises(KernelsUnavailable, match=r"^there are none for the loss focal.py:focal$"):
        check_settings(settings(f"loss.name={tmp_path}/focal.py:focal"))


def test_a_newer_setting_is_left_to_torch() -> None:
    """A setting that no list names, here of the model, has a reason as soon as it is set."""

    class Newer(NetModel):
        dropout: Annotated[float, Role.SHARED] = 0.0

    arm = settings()
    assert not list(unknown_settings(arm.model_copy(update={"model": Newer()})))
    changed = arm.model_copy(update={"model": Newer(dropout=0.5)})
    with pytest.raises(KernelsUnavailable, match=r"^there are none for model.dropout: 0.5$"):
        check_settings(changed)


@pytest.mark.parametrize(("batch", "least"), [(1, 2), (8, 2), (32, 10), (64, 10), (128, 10), (512, 14), (4096, 14)])
def test_few_networks_are_left_to_torch(batch: int, least: int) -> None:
    check_members(batch, least)
    with pytest.raises(KernelsUnavailable, match=f"^torch's are faster below {least} networks of this batch size$"):
        check_members(batch, least - 1)
    check_members(batch, 40, muon=True)
    with pytest.raises(KernelsUnavailable, match=r"^torch's are used below 40 networks with muon$"):
        check_members(batch, 39, muon=True)


def test_several_batch_sizes_need_the_networks_of_the_one_that_needs_most() -> None:
    for sizes, least in (([8, 8], 2), ([8, 64, 16], 10), ([8, 512, 64], 14)):
        arms = [settings(f"data.batch_size={size}") for size in sizes]
        assert has_enough(arms, least)
        assert not has_enough(arms, least - 1)


def test_its_own_settings_are_shared_where_networks_are_stacked() -> None:
    plain = settings()
    for key in OWN:
        section, name = key.split(".")
        assert role_of(type(getattr(plain, section)), name) is Role.SHARED
        assert key in KNOWN
    assert not are_mixed([plain, settings("optimizer.name=adam", "scheduler.name=cosine")])
    assert are_mixed([plain, plain, settings("data.batch_size=8")])
    assert are_mixed([plain, settings("loss.label_smoothing=0.1")])
    assert not are_mixed([])


def test_runs_are_planned_for_it_by_their_settings_alone() -> None:
    assert may_train(settings())
    assert may_train(settings("runtime.kernels=own"))
    for override in ("runtime.kernels=torch", "model.name=Wide", "data.noise_std=0.1", "average.name=ema"):
        assert not may_train(settings(override)), override


@pytest.mark.parametrize(("shape", "least"), [(NET3, 52), (NET1, 36)])
@pytest.mark.parametrize("batch", [1, 64, 4096])
def test_few_networks_of_other_shapes_are_left_to_torch(batch: int, shape: Shape, least: int) -> None:
    check_members(batch, least, shape)
    with pytest.raises(KernelsUnavailable, match=f"^torch's are faster below {least} networks of this batch size$"):
        check_members(batch, least - 1, shape)


def test_large_batches_of_net1_are_left_to_torch() -> None:
    check_settings(settings("model.name=Net1", "data.batch_size=1024"))
    with pytest.raises(KernelsUnavailable, match=r"^there are none on a GPU for Net1 with batches above 1024 images$"):
        check_settings(settings("model.name=Net1", "data.batch_size=1025"))
    check_settings(settings("data.batch_size=1025"))


@pytest.mark.parametrize("model", MODELS)
def test_widths_are_those_of_the_models(model: str) -> None:
    network = getattr(nets, model)()
    layers = (
        network.conv1.out_channels,
        network.conv2.out_channels,
        network.fc1.out_features,
        network.fc2.out_features,
    )
    assert MODELS[model][:4] == layers
    assert MODELS[model].batch_norm == hasattr(network, "bn1")


def test_a_list_is_refused_as_the_settings_file_writes_it() -> None:
    with pytest.raises(KernelsUnavailable, match=r"^there are none for model.freeze: \[conv1, conv2\]$"):
        check_settings(settings("model.freeze=[conv1, conv2]"))
