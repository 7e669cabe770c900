"""Layers of networks, from the input to the head."""

from __future__ import annotations

import pytest
import torchvision
from torch import nn

from cifar_lab.models.layer_order import layers_of
from cifar_lab.models.nets import Net, Net1, resnet18


def names(network: nn.Module, side: int = 32) -> list[str]:
    layers = layers_of(network, side)
    found = [name for layer in layers for name in layer.parameters]
    assert sorted(found) == sorted(name for name, _ in network.named_parameters()), "each parameter has one layer"
    return [layer.name for layer in layers]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (Net, ["conv1", "conv2", "fc1", "fc2", "fc3"]),
        (Net1, ["stem", "conv2", "fc1", "fc2", "fc3"]),
        (resnet18, ["stem", "layer1", "layer2", "layer3", "layer4", "fc"]),
        (
            torchvision.models.squeezenet1_1,
            ["features.0", *(f"features.{n}" for n in (3, 4, 6, 7, 9, 10, 11, 12)), "classifier.1"],
        ),
    ],
)
def test_layers_are_in_the_order_of_the_forward_pass(make: type[nn.Module], expected: list[str]) -> None:
    assert names(make()) == expected


def test_blocks_of_a_transformer_are_layers() -> None:
    network = torchvision.models.VisionTransformer(
        image_size=32, patch_size=4, num_layers=3, num_heads=2, hidden_dim=32, mlp_dim=64, num_classes=9
    )
    blocks = [f"encoder.layers.encoder_layer_{number}" for number in range(3)]
    assert names(network) == ["stem", *blocks, "heads.head"]
