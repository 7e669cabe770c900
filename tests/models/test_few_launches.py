"""Parts of a step that are made for all layers at once, against the same layer by layer: equal to the bit."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from cifar_lab.models.few_launches import counted_at_once, fresh_gradients
from cifar_lab.models.flat_parameters import FlatParameters, flatten_parameters


class Partly(nn.Module):
    """A network that may leave a layer out, and uses one twice."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.sometimes = nn.Linear(3, 3), nn.Linear(3, 3)
        self.leave_out = False

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.twice(self.twice(inputs))
        return found if self.leave_out else self.sometimes(found)


def test_fresh_gradients_are_those_that_are_added_to_zeros() -> None:
    torch.manual_seed(0)
    networks = [Partly(), Partly()]
    parameters, inputs = flatten_parameters(networks), torch.randn(4, 3)
    places = [parameter.grad for network in networks for parameter in network.parameters()]
    for leave_out in (False, True, False):
        for network in networks:
            network.leave_out = leave_out
        with fresh_gradients(parameters, networks):
            for network in networks:
                network(inputs).square().sum().backward()
        fresh = parameters.gradients.clone()
        parameters.zero_gradients()
        for network in networks:
            network(inputs).square().sum().backward()
        assert torch.equal(fresh, parameters.gradients)
        now = [parameter.grad for network in networks for parameter in network.parameters()]
        assert all(one is other for one, other in zip(places, now, strict=True))


class Residual(nn.Module):
    """Layers as those of ResNet-18, and a parameter that autocast leaves in fp32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv, self.again = nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16)
        self.shortcut = nn.Conv2d(8, 16, 1, stride=2, bias=False)
        self.scale, self.fc = nn.Parameter(torch.ones(16, 1, 1)), nn.Linear(16, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(images)))
        x = F.relu(self.again(self.conv(x)) + self.shortcut(x)) * self.scale
        found: Tensor = self.fc(x.mean(dim=(2, 3)))
        return found


class Operations(TorchDispatchMode):
    """Counts the operations of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[func._schema.name] += 1
        return func(*args, **(kwargs or {}))


def networks_of(seed: int) -> tuple[list[nn.Module], FlatParameters]:
    torch.manual_seed(seed)
    networks: list[nn.Module] = [Residual().to(memory_format=torch.channels_last) for _ in range(2)]
    return networks, flatten_parameters(networks)


def backward(networks: list[nn.Module], *, bf16: bool) -> tuple[list[Tensor], Counter[str]]:
    images, labels = torch.randn(4, 3, 8, 8), torch.tensor([1, 0, 7, 9])
    losses, operations = [], Operations()
    with operations:
        for network in networks:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                logits = network(images.contiguous(memory_format=torch.channels_last))
            loss = F.cross_entropy(logits.float(), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
    return losses, operations.counts


@pytest.mark.parametrize("bf16", [True, False], ids=["bf16", "fp32"])
def test_a_step_at_once_is_that_layer_by_layer(bf16: bool) -> None:
    networks, parameters = networks_of(0)
    others = copy.deepcopy(networks)
    expected = flatten_parameters(others)
    weights = [parameter for network in networks for parameter in network.parameters()]
    for seed in range(2):
        torch.manual_seed(seed)
        expected.zero_gradients()
        wanted, many = backward(others, bf16=bf16)
        torch.manual_seed(seed)
        with (
            fresh_gradients(parameters, networks, torch.bfloat16 if bf16 else None),
            counted_at_once(networks),
        ):
            found, few = backward(networks, bf16=bf16)
        assert torch.equal(torch.stack(found), torch.stack(wanted))
        assert torch.equal(parameters.gradients, expected.gradients)
        for network, other in zip(networks, others, strict=True):
            buffers = dict(other.named_buffers())
            assert all(torch.equal(buffer, buffers[name]) for name, buffer in network.named_buffers())
        casts = "aten::_to_copy"
        # Six weights and biases per network, in both directions. The images and the logits are still cast.
        assert many[casts] - few[casts] == (2 * 2 * 6 if bf16 else 0)
        assert many["aten::add_"] - few["aten::add_"] >= 2 * 2
    now = [parameter for network in networks for parameter in network.parameters()]
    assert all(one is other for one, other in zip(weights, now, strict=True))


def test_frozen_weights_and_still_norms_are_left_alone() -> None:
    torch.manual_seed(0)
    network = Residual()
    network.stem.requires_grad_(False)
    network.norm.eval()
    parameters = flatten_parameters([network])
    with fresh_gradients(parameters, [network], torch.bfloat16), counted_at_once([network]):
        assert network.stem.weight.dtype == torch.float32
        assert network.conv.weight.dtype == torch.bfloat16
        backward([network], bf16=True)
    assert (int(network.norm.num_batches_tracked), int(network.again.num_batches_tracked)) == (0, 1)  # type: ignore[arg-type]
    assert network.conv.weight.dtype == torch.float32


def test_after_an_error_the_networks_are_as_before() -> None:
    networks, parameters = networks_of(0)
    before = [(parameter, parameter.grad) for network in networks for parameter in network.parameters()]
    with (
        pytest.raises(ZeroDivisionError),
        fresh_gradients(parameters, networks, torch.bfloat16),
        counted_at_once(networks),
    ):
        raise ZeroDivisionError
    now = [(parameter, parameter.grad) for network in networks for parameter in network.parameters()]
    assert all(one is two and grad is other for (one, grad), (two, other) in zip(before, now, strict=True))
    assert [int(network.norm.num_batches_tracked) for network in networks] == [0, 0]  # type: ignore[arg-type]
