"""Normalisation that pretrained weights expect, against that of an arm."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from cifar_lab.config import Settings
from cifar_lab.models.weight_inputs import input_notes


def notes(network: nn.Module | None = None, normalize: str = "half", **model: Any) -> list[str]:
    settings = Settings.model_validate({"model": model, "data": {"dataset": "cifar10", "normalize": normalize}})
    return list(input_notes(settings, network or nn.Identity()))


@pytest.mark.parametrize(
    "model",
    [
        {"name": "ResNet18", "pretrained": True},
        {"name": "torchvision.models:resnet34", "options": {"weights": "DEFAULT"}},
    ],
)
def test_weights_of_imagenet_expect_its_statistics(model: dict[str, Any]) -> None:
    (note,) = notes(**model)
    assert note.endswith("expect data.normalize: imagenet, and this arm has half; set data.normalize: imagenet")
    assert notes(**model, normalize="imagenet") == []


def test_timm_says_what_its_weights_expect() -> None:
    network = nn.Identity()
    network.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.5,) * 3}  # type: ignore[assignment]
    model = {"name": "timm:vit_tiny_patch16_224", "options": {"pretrained": True}}
    assert notes(network, **model) == []
    (note,) = notes(network, normalize="channel", **model)
    assert "data.normalize: half" in note


def test_weights_of_a_run_expect_what_it_was_trained_with(lab: Any) -> None:
    job = lab.job(lab.settings("data.normalize=channel"))
    lab.make(job)
    path = str(lab.run_folder(job).weights)
    (note,) = notes(name="Net", weights=path)
    assert note == (
        f"the weights of run:{job.run_id} expect data.normalize: channel, and this arm has half; set "
        "data.normalize: channel"
    )
    assert notes(name="Net", weights=path, normalize="channel") == []


def test_of_other_weights_nothing_is_known() -> None:
    assert notes(name="Net", weights="elsewhere/weights.pt") == []
    assert notes(name="torchvision.models:resnet34") == []
