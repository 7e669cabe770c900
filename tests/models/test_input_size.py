"""`model.input_size`: the network sees larger images, with the weights and the id of its own."""

from __future__ import annotations

import pytest
import torch

from cifar_lab import models
from cifar_lab.config import Settings
from cifar_lab.config.io.load import settings_from
from cifar_lab.config.model import NetModel, ResNet18Model
from cifar_lab.config.run_id import recipe
from cifar_lab.core.errors import SettingsError
from cifar_lab.models.input_size import ResizeInput, input_size


def test_batches_are_enlarged_before_the_first_layer() -> None:
    torch.manual_seed(0)
    plain = models.build(ResNet18Model(name="ResNet18"), 10).eval()
    torch.manual_seed(0)
    enlarging = models.build(ResNet18Model(name="ResNet18", input_size=64), 10).eval()
    images = torch.rand(2, 3, 32, 32)
    larger = torch.nn.functional.interpolate(images, (64, 64), mode="bilinear")
    with torch.no_grad():
        assert torch.equal(enlarging(images), plain(larger))
    assert enlarging.state_dict().keys() == plain.state_dict().keys()
    assert (input_size(plain), input_size(enlarging)) == (None, 64)


def test_images_of_the_size_are_left_as_they_are() -> None:
    images = torch.rand(2, 3, 32, 32)
    assert ResizeInput(32).resize(images) is images


def test_images_that_shrink_are_smoothed() -> None:
    stripes = torch.zeros(1, 3, 64, 64)
    stripes[..., ::2] = 1
    assert (ResizeInput(16).resize(stripes) - 0.5).abs().max() < 0.05


def test_the_size_is_part_of_the_id_and_its_default_is_not() -> None:
    sections = [recipe(Settings(model=model))["model"] for model in (NetModel(), NetModel(input_size=32))]
    assert sections[0] == {"name": "Net"}
    assert sections[1] == {"name": "Net", "input_size": 32}


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"model": {"name": "Net", "input_size": 64}}, "Net takes images of 32 × 32 pixels, not 64"),
        (
            {"data": {"dataset": "imagefolder", "root": "x", "image_size": 64}},
            "Net takes images of 32 × 32 pixels, not 64; set model.input_size: 32",
        ),
        ({"model": {"name": "ResNet18", "input_size": 64}}, ""),
        ({"data": {"dataset": "imagefolder", "root": "x", "image_size": 64}, "model": {"input_size": 32}}, ""),
    ],
)
def test_networks_of_one_size_are_told_before_anything_is_read(values: dict[str, object], fault: str) -> None:
    if not fault:
        settings_from(values)
        return
    with pytest.raises(SettingsError, match=fault):
        settings_from(values)
