"""Initial weights that settings choose, against torch's own and against their definition."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from cifar_lab import models
from cifar_lab.config import CustomModel, Net1Model, Net2Model, NetModel, ResNet18Model
from cifar_lab.core.errors import SettingsError
from cifar_lab.data.random_streams import seeded_init
from cifar_lab.models.initialisation import WHITENING_EPS, initialise, plain_covariance, whitening_filters


def built(model: NetModel | CustomModel, seed: int = 0) -> nn.Module:
    with seeded_init(seed):
        network = models.build(model, 10)
        initialise(network, model, plain_covariance)
    return network


def test_kaiming_gives_net_the_weights_of_net2() -> None:
    ours, theirs = built(NetModel(init="kaiming")), built(Net2Model(name="Net2"))
    assert all(map(torch.equal, ours.parameters(), theirs.parameters()))


@pytest.mark.parametrize("model", [NetModel(init="orthogonal"), Net1Model(name="Net1", init="orthogonal")])
def test_an_orthogonal_matrix_keeps_lengths_up_to_its_gain(model: NetModel) -> None:
    plain = built(model.model_copy(update={"init": "torch"}))
    for name, module in built(model).named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            matrix = module.weight.flatten(1)
            gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
            gain = 1.0 if name == "fc3" else math.sqrt(2)
            torch.testing.assert_close(gram, gain**2 * torch.eye(len(gram)), rtol=0, atol=1e-5)
            assert torch.equal(module.bias, plain.get_submodule(name).bias)


def test_a_seed_decides_and_the_same_seed_gives_the_same_bits() -> None:
    for init in ("kaiming", "orthogonal"):
        one, again, other = (built(NetModel(init=init), seed).conv2.weight for seed in (0, 0, 1))
        assert torch.equal(one, again)
        assert not torch.equal(one, other)


@pytest.mark.parametrize("model", [NetModel(head_init="zero"), ResNet18Model(name="ResNet18", head_init="zero")])
def test_a_head_of_zeros_gives_equal_logits_and_leaves_the_rest(model: NetModel) -> None:
    network, plain = built(model), built(model.model_copy(update={"head_init": "torch"}))
    assert not network.eval()(torch.randn(2, 3, 32, 32)).any()
    head = models.LAST_LAYER[model.name]
    for name, parameter in network.named_parameters():
        expected = plain.get_parameter(name)
        assert torch.equal(parameter, torch.zeros_like(expected) if name.startswith(head) else expected)


def random_covariance(rows: int, columns: int) -> torch.Tensor:
    mixing = torch.randn(3 * rows * columns, 3 * rows * columns, dtype=torch.float64)
    return mixing @ mixing.T


def test_whitened_values_are_uncorrelated_and_have_variance_1() -> None:
    torch.manual_seed(0)
    covariance = random_covariance(2, 2)
    filters = whitening_filters(covariance)
    variances = torch.diagonal(filters @ covariance @ filters.T)
    eigenvalues = torch.linalg.eigvalsh(covariance).flip(0)
    torch.testing.assert_close(variances, eigenvalues / (eigenvalues + WHITENING_EPS))
    torch.testing.assert_close(filters @ covariance @ filters.T, torch.diag(variances))
    assert torch.equal(filters, whitening_filters(covariance))
    assert (filters.gather(1, filters.abs().argmax(dim=1, keepdim=True)) > 0).all()


@pytest.mark.parametrize("outputs", [3, 12, 17, 24, 30])
def test_outputs_beyond_the_filters_and_their_negatives_stay_as_they_are(outputs: int) -> None:
    torch.manual_seed(0)
    covariance = random_covariance(2, 2)
    filters = whitening_filters(covariance).float()
    network = nn.Sequential(nn.Conv2d(3, outputs, 2), nn.Flatten(), nn.LazyLinear(10))
    network(torch.zeros(1, 3, 4, 4))
    before = network[0].weight.detach().clone()
    initialise(network, CustomModel(name="own.py:Own", init="whiten"), lambda rows, columns: covariance)
    expected = torch.cat([filters, -filters])[:outputs]
    assert torch.equal(network[0].weight[: len(expected)].flatten(1), expected)
    assert torch.equal(network[0].weight[24:], before[24:])


def test_whitening_needs_a_convolution_of_the_images() -> None:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(12, 10))
    with pytest.raises(SettingsError, match="needs a first convolution of 3 channels"):
        initialise(linear, CustomModel(name="own.py:Own", init="whiten"), plain_covariance)
