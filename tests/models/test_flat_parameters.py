import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from cifar_lab.models.flat_parameters import flatten_parameters


class Odd(nn.Module):
    """Tied and frozen parameters, a buffer, sizes that are no multiple of the alignment."""

    def __init__(self, width: int = 7) -> None:
        super().__init__()
        self.first = nn.Linear(5, width)
        self.norm = nn.BatchNorm1d(width)
        self.again = nn.Linear(5, width)
        self.again.weight = self.first.weight
        self.frozen = nn.Parameter(torch.ones(width), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.norm(self.first(x)) + self.again(x)) * self.frozen


def make(seed: int, build: Callable[[], nn.Module] = Odd) -> nn.Module:
    torch.manual_seed(seed)
    return build()


def test_parameters_are_views_that_keep_their_values() -> None:
    networks = [make(seed) for seed in (1, 2, 3)]
    before = [copy.deepcopy(network.state_dict()) for network in networks]
    flat = flatten_parameters(networks)
    for network, saved in zip(networks, before, strict=True):
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, saved[name]), name
    flat.values.fill_(0.25)
    for network in networks:
        assert all(bool((p == 0.25).all()) for p in network.parameters() if p.requires_grad)


def test_tied_parameters_are_stored_once_and_frozen_ones_and_buffers_left_alone() -> None:
    network = make(1)
    frozen, mean = network.frozen, network.norm.running_mean
    flat = flatten_parameters([network])
    assert [span.name for span in flat.spans] == [
        "first.weight",
        "first.bias",
        "norm.weight",
        "norm.bias",
        "again.bias",
    ]
    assert network.again.weight is network.first.weight
    flat.values.zero_()
    assert network.frozen is frozen
    assert torch.equal(frozen, torch.ones(7))
    assert network.norm.running_mean is mean
    assert frozen.grad is None


def test_backward_adds_to_the_rows_in_place() -> None:
    networks, twins = [make(1), make(2)], [make(1), make(2)]
    flat = flatten_parameters(networks)
    x = torch.randn(6, 5, generator=torch.Generator().manual_seed(9)) + 2
    for _ in range(2):
        for network in networks + twins:
            network(x).square().mean().backward()
    for k, (network, twin) in enumerate(zip(networks, twins, strict=True)):
        expected = dict(twin.named_parameters())
        for span in flat.spans:
            row = flat.gradients[k, span.offset : span.offset + expected[span.name].numel()].view(span.shape)
            assert torch.equal(row, expected[span.name].grad), span.name
            assert dict(network.named_parameters())[span.name].grad.data_ptr() == row.data_ptr()
    flat.zero_gradients()
    assert all(not p.grad.any() for network in networks for p in network.parameters() if p.requires_grad)


def test_a_gradient_that_is_there_already_is_kept() -> None:
    network = make(1)
    network(torch.ones(3, 5)).sum().backward()
    expected = network.again.bias.grad.clone()
    flatten_parameters([network])
    assert expected.any()
    assert torch.equal(network.again.bias.grad, expected)


def test_every_parameter_of_every_row_begins_at_64_bytes() -> None:
    networks = [make(seed) for seed in range(3)]
    flatten_parameters(networks)
    assert all(p.data_ptr() % 64 == 0 for network in networks for p in network.parameters() if p.requires_grad)


def test_memory_format_is_kept() -> None:
    network = nn.Conv2d(3, 4, 5).to(memory_format=torch.channels_last)
    before = network.weight.detach().clone()
    flatten_parameters([network])
    assert network.weight.stride() == before.stride() == (75, 1, 15, 3)
    assert torch.equal(network.weight, before)


def test_a_row_of_another_memory_format_is_moved_parameter_by_parameter() -> None:
    network = nn.Sequential(nn.Conv2d(3, 5, (2, 4)), nn.Linear(7, 2))
    wanted = {name: tensor.clone() for name, tensor in network.named_parameters()}
    channels_last = flatten_parameters([network.to(memory_format=torch.channels_last)])
    plain = flatten_parameters([nn.Sequential(nn.Conv2d(3, 5, (2, 4)), nn.Linear(7, 2))])
    moved = plain.from_layout(channels_last.values, channels_last.strides())
    assert not torch.equal(moved, channels_last.values)
    for span in plain.spans:
        assert torch.equal(moved.as_strided(span.shape, span.stride, span.offset), wanted[span.name]), span.name
    with pytest.raises(ValueError, match="the row belongs to networks with other parameters"):
        plain.from_layout(channels_last.values, channels_last.strides()[1:])


def test_one_parameter_of_all_networks_is_the_memory_of_each() -> None:
    networks = [nn.Linear(4, 3), nn.Linear(4, 3)]
    together = flatten_parameters(networks).stacked_parameters()
    assert list(together) == ["weight", "bias"]
    weight = together["weight"]
    assert weight.values.shape == weight.gradient.shape == (2, 3, 4)
    weight.gradient.fill_(5)
    with torch.no_grad():
        weight.values.mul_(2)
    for k, network in enumerate(networks):
        assert torch.equal(network.weight, weight.values[k])
        assert torch.equal(network.weight.grad, torch.full((3, 4), 5.0))


def test_padding_is_zero() -> None:
    flat = flatten_parameters([nn.Linear(3, 5)])
    assert flat.values.shape == (1, 32)
    assert not flat.values[0, 15:16].any()
    assert not flat.values[0, 21:].any()


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        ([], "no network to flatten; a cohort has at least one"),
        ([nn.ReLU()], "ReLU has no trainable parameter"),
        ([Odd(7), Odd(8)], "network 1 of the cohort has other parameters than network 0"),
        ([nn.Linear(2, 2).double()], "weight is torch.float64; trainable parameters must be torch.float32"),
        (
            [shared := nn.Linear(2, 2), shared],
            "two networks of the cohort share a parameter; build each network separately",
        ),
        (
            [nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, device="meta"))],
            "parameters on several devices (cpu, meta); use one",
        ),
    ],
)
def test_refusals(networks: list[nn.Module], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        flatten_parameters(networks)
    assert str(caught.value) == message
