"""K networks as one against the K networks: logits, gradients, statistics, for every built-in model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cifar_lab.models import MODELS, stacked_layers
from cifar_lab.models.convolutions import by_groups, by_products
from cifar_lab.models.flat_parameters import FlatParameters, flatten_parameters
from cifar_lab.models.stacked import StackedNetwork, stack
from cifar_lab.models.stacked_layers import NotStackable

MEMBERS, BATCH = 3, 5


@pytest.fixture(params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def networks_of(make: Callable[[], nn.Module], members: int = MEMBERS) -> list[nn.Module]:
    networks = []
    for seed in range(members):
        torch.manual_seed(seed)
        networks.append(make())
    return networks


def stacked(networks: Sequence[nn.Module], deterministic: bool = True) -> tuple[StackedNetwork, FlatParameters]:
    parameters = flatten_parameters(networks)
    return stack(networks, parameters, deterministic=deterministic), parameters


def images(members: int = MEMBERS) -> Tensor:
    return torch.randn(members, BATCH, 3, 32, 32, generator=torch.Generator().manual_seed(7))


def loss_of(logits: Tensor) -> Tensor:
    """Sum over the members of each one's mean."""
    labels = torch.arange(BATCH).expand(len(logits), BATCH)
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(-1, BATCH).mean(1).sum()


@pytest.mark.parametrize("form", [by_groups, by_products])
def test_logits_gradients_and_statistics_are_those_of_the_networks(
    name: str, form: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stacked_layers, "form_for", lambda *_: form)
    alone, members = (networks_of(lambda: MODELS[name](7)) for _ in range(2))
    whole, parameters = stacked(members)
    batch = images()
    logits = whole(batch)
    expected = torch.stack([network(own) for network, own in zip(alone, batch, strict=True)])
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    parameters.gradients.fill_(9)  # what was there before is replaced
    whole.backward(loss_of(logits))
    loss_of(expected).backward()
    for ours, theirs in zip(members, alone, strict=True):
        for (key, parameter), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            if not other.requires_grad:
                continue
            scale = float(other.grad.abs().max())
            torch.testing.assert_close(parameter.grad, other.grad, rtol=1e-3, atol=1e-3 * scale + 1e-6, msg=key)
        for (key, buffer), other in zip(ours.named_buffers(), theirs.buffers(), strict=True):
            torch.testing.assert_close(buffer, other, rtol=1e-4, atol=1e-5, msg=key)
    whole.train(False)
    for network in alone:
        network.eval()
    again = torch.stack([network(own) for network, own in zip(alone, batch, strict=True)])
    torch.testing.assert_close(whole(batch), again, rtol=1e-4, atol=1e-4)


def test_a_member_with_numbers_that_are_not_finite_poisons_no_other(name: str) -> None:
    members = networks_of(lambda: MODELS[name](7))
    whole, parameters = stacked(members)
    with torch.no_grad():
        healthy = whole(images())
    with torch.no_grad():
        parameters.values[1].fill_(float("nan"))
    logits = whole(images())
    whole.backward(loss_of(logits))
    assert not torch.isfinite(logits[1]).any()
    for k in (0, 2):
        torch.testing.assert_close(logits[k], healthy[k])
        assert torch.isfinite(parameters.gradients[k]).all()


def test_images_that_members_share_need_not_be_copied(name: str) -> None:
    whole, _ = stacked(networks_of(lambda: MODELS[name](7)))
    whole.train(False)
    shared = images()[:1].expand(MEMBERS, -1, -1, -1, -1)
    torch.testing.assert_close(whole(shared), whole(shared.contiguous()))


def test_the_networks_can_still_be_run_one_by_one(name: str) -> None:
    members = networks_of(lambda: MODELS[name](7))
    whole, parameters = stacked(members)
    whole(images())  # moves the statistics of BatchNorm
    with torch.no_grad():
        parameters.values.mul_(0.9)
    whole.train(False)
    expected = torch.stack([network.eval()(own) for network, own in zip(members, images(), strict=True)])
    torch.testing.assert_close(whole(images()), expected, rtol=1e-4, atol=1e-4)


def test_without_determinism_the_faster_form_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[tuple[int, ...]] = []

    def faster(given: Tensor, *_: object) -> Callable[..., Tensor]:
        measured.append(tuple(given.shape))
        return by_products

    monkeypatch.setattr(stacked_layers, "faster_form", faster)
    members = networks_of(MODELS["Net"])
    whole, _ = stacked(members, deterministic=False)
    first = whole(images())
    assert measured == [(3, 5, 3, 32, 32), (3, 5, 6, 14, 14)]
    assert torch.equal(whole(images()), first)
    assert len(measured) == 2


class Odd(nn.Module):
    """Made of one layer and one operation that a test names."""

    __module__ = "cifar_lab.odd"

    def __init__(self, layer: nn.Module, act: Callable[[Tensor], Tensor] = F.relu) -> None:
        super().__init__()
        self.layer, self.act = layer, act

    def forward(self, given: Tensor) -> Tensor:
        return self.act(self.layer(given))


def test_a_frozen_parameter_is_stacked_and_stays_the_networks_own() -> None:
    def frozen() -> nn.Module:
        layer = nn.Conv2d(3, 4, 3)
        nn.init.normal_(layer.bias)
        layer.bias.requires_grad_(False)
        return Odd(layer, F.gelu)

    networks = networks_of(frozen)
    whole, _ = stacked(networks)
    for network in networks:
        network.layer.bias.add_(1)  # as `load_state_dict` does
    given = images()
    alone = [network(own) for network, own in zip(networks, given, strict=True)]
    torch.testing.assert_close(whole(given), torch.stack(alone))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (
            lambda: Odd(nn.Conv2d(3, 4, 3, dilation=2)),
            "a convolution with dilation, groups or padding other than zeros",
        ),
        (lambda: Odd(nn.Conv2d(3, 6, 3, groups=3)), "a convolution with dilation, groups or padding other than zeros"),
        (lambda: Odd(nn.Conv2d(3, 4, 3, padding="same")), "a convolution with padding 'same'"),
        (lambda: Odd(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout())), "there is no stacked form of Dropout"),
        (lambda: Odd(nn.Conv2d(3, 4, 3), torch.sigmoid), "there is no stacked form of sigmoid"),
        (lambda: nn.Conv2d(3, 4, 3), f"Conv2d is not one of: {', '.join(MODELS)}"),
        (
            lambda: Odd(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=None))),
            "a BatchNorm without weights, or without an exponential average of its statistics",
        ),
    ],
)
def test_what_cannot_be_stacked_is_said(make: Callable[[], nn.Module], why: str) -> None:
    with pytest.raises(NotStackable) as caught:
        stacked(networks_of(make))
    assert str(caught.value) == why
