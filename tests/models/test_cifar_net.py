"""CifarNet against the same network written out layer by layer, and Wide against Net."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cifar_lab import models
from cifar_lab.config import CifarNetModel, NetModel, WideModel
from cifar_lab.config.registry import facts_of
from cifar_lab.data.random_streams import seeded_init
from cifar_lab.models import count_parameters
from cifar_lab.models.cifar_net import CifarNet
from cifar_lab.models.initialisation import initialise, whitening_filters


class Scaled(nn.Module):
    """Logits times a factor."""

    def forward(self, logits: Tensor) -> Tensor:
        return logits / 9


def reference(classes: int, widths: tuple[int, int, int]) -> nn.Sequential:
    """The network of the description: arXiv:2404.00498, section 3 and its listing."""
    layers: list[nn.Module] = [nn.Conv2d(3, 24, 2), nn.GELU()]
    inputs = 24
    for outputs in widths:
        layers += [
            nn.Conv2d(inputs, outputs, 3, padding="same", bias=False), nn.MaxPool2d(2),
            nn.BatchNorm2d(outputs, eps=1e-12, momentum=0.4), nn.GELU(),
            nn.Conv2d(outputs, outputs, 3, padding="same", bias=False),
            nn.BatchNorm2d(outputs, eps=1e-12, momentum=0.4), nn.GELU(),
        ]  # fmt: skip
        inputs = outputs
    layers += [nn.MaxPool2d(3), nn.Flatten(), nn.Linear(inputs, classes, bias=False), Scaled()]
    return nn.Sequential(*layers)


@pytest.mark.parametrize("training", [True, False])
def test_outputs_and_gradients_equal_the_reference(training: bool) -> None:
    torch.manual_seed(0)
    ours, theirs = CifarNet(7, (8, 12, 16)).train(training), reference(7, (8, 12, 16)).train(training)
    for name, parameter in ours.named_parameters():
        if "norm" in name and name.endswith("bias"):
            nn.init.uniform_(parameter, -0.5, 0.5)
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    images = torch.randn(5, 3, 32, 32)
    for network in (ours, theirs):
        network(images).square().sum().backward()
    torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-5)
    for (name, one), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        frozen = name == "whiten.weight" or (".norm" in name and name.endswith("weight"))
        assert one.requires_grad is not frozen
        if not frozen:
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-4, msg=name)


def test_parameters_of_the_record_network() -> None:
    """1.97 million, of which the filters of the first convolution and the weights of BatchNorm are frozen."""
    network = CifarNet()
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_971_352 + 24 * 12 + 1_152
    assert count_parameters(network) == 1_971_352


def test_convolutions_begin_as_the_identity_of_their_inputs() -> None:
    planes = torch.randn(2, 24, 8, 8)
    convolution = CifarNet().block1.conv1
    torch.testing.assert_close(convolution(planes)[:, :24], planes)
    assert convolution.weight[24:].abs().sum() > 0


def test_the_first_convolution_is_whitened_unless_the_settings_say_otherwise() -> None:
    torch.manual_seed(0)
    mixing = torch.randn(12, 12, dtype=torch.float64)
    filters = whitening_filters(mixing @ mixing.T).float()

    def built(model: CifarNetModel) -> nn.Module:
        with seeded_init(0):
            network = models.build(model, 10)
            initialise(network, model, lambda rows, columns: mixing @ mixing.T)
        return network

    whitened, plain = built(CifarNetModel(name="CifarNet")), built(CifarNetModel(name="CifarNet", init="torch"))
    assert torch.equal(whitened.whiten.weight.flatten(1), torch.cat([filters, -filters]))
    assert not whitened.whiten.weight.requires_grad
    for (name, one), other in zip(whitened.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other) is (name != "whiten.weight"), name


def test_wide_with_the_sizes_of_net_is_net() -> None:
    wide = WideModel(name="Wide", channels=(6, 16))
    with seeded_init(3):
        ours = models.build(wide, 10)
    with seeded_init(3):
        theirs = models.build(NetModel(), 10)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert all(map(torch.equal, ours.state_dict().values(), theirs.state_dict().values()))


@pytest.mark.parametrize(
    "model",
    [
        WideModel(name="Wide", channels=(5, 7), widths=(11, 13)),
        WideModel(name="Wide", channels=(64, 128), widths=(384, 192), batch_norm=True),
        CifarNetModel(name="CifarNet", widths=(32, 64, 64)),
    ],
)
def test_facts_of_other_sizes_are_those_of_the_network(model: WideModel | CifarNetModel) -> None:
    network, facts = models.build(model, 10), facts_of(model)
    assert facts is not None
    assert facts.parameters == count_parameters(network)
    assert facts.small == (facts.parameters < 1_000_000)
    assert facts.batch_norm == any(isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d) for each in network.modules())
