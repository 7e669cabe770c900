"""Muon: equal to a plain reference step by step, on the rows and stacked, and torch's own where the scales agree."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cifar_lab import config
from cifar_lab.config.io.load import settings_from
from cifar_lab.config.run_id import recipe
from cifar_lab.core.errors import SettingsError
from cifar_lab.models.flat_parameters import flatten_parameters
from cifar_lab.models.nets import Net
from cifar_lab.training.optim.factory import make_optimizer
from cifar_lab.training.optim.muon import matrices_of
from cifar_lab.training.optim.newton_schulz import COEFFICIENTS, orthogonalised

STEPS = 8

ARMS: dict[str, dict[str, Any]] = {
    "default": {},
    "weight decay": {"weight_decay": 0.3, "others": {"weight_decay": 0.1, "momentum": 0.5}},
    "no nesterov": {"nesterov": False, "momentum": 0.8, "others": {"nesterov": False}},
    "adamw": {"others": {"name": "adamw", "lr": 0.004, "eps": 1e-4}},
    "groups": {"weight_decay": 0.1, "groups": [{"match": "bias", "lr_factor": 2}, {"match": "^0", "weight_decay": 0}]},
    "frozen": {"groups": [{"match": "^0.weight", "lr_factor": 0}]},
}


def muon(**values: Any) -> config.Muon:
    found = settings_from({"optimizer": {"name": "muon", "lr": 0.03, **values}}).optimizer
    assert isinstance(found, config.Muon)
    return found


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 36, 20), nn.Tanh(), nn.Linear(20, 24),
        nn.Linear(24, 10),
    )  # fmt: skip


def backward(model: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    images = torch.randn(6, 3, 8, 8, generator=generator)
    (model(images) - torch.randn(6, 10, generator=generator)).square().mean().backward()


def plain(matrix: Tensor, steps: int) -> Tensor:
    """Newton–Schulz iterations as they are written down."""
    a, b, c = COEFFICIENTS
    turned = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    found = turned / (turned.norm() + 1e-7)
    for _ in range(steps):
        gram = found @ found.T
        found = a * found + (b * gram + c * gram @ gram) @ found
    return found.T if matrix.shape[0] > matrix.shape[1] else found


class Reference:
    """Muon in plain torch: one parameter after the other."""

    def __init__(self, model: nn.Module, settings: config.Muon) -> None:
        self.settings, self.buffers = settings, {}  # type: ignore[var-annotated]
        named = dict(model.named_parameters())
        self.matrices = {name: each for name, each in named.items() if each.dim() > 1 and not name.startswith("6")}
        others = settings.others
        rest = []
        for name, each in named.items():
            if name not in self.matrices:
                factor, decay = self._values(name, others.weight_decay)
                rest.append({"params": [each], "lr": others.lr * factor, "weight_decay": decay})
        if others.name == "sgd":
            rule: torch.optim.Optimizer = torch.optim.SGD(rest, momentum=others.momentum, nesterov=others.nesterov)
        else:
            rule = torch.optim.AdamW(rest, betas=others.betas, eps=others.eps)
        self.others = rule
        self.first = [group["lr"] for group in self.others.param_groups]

    def _values(self, name: str, decay: float) -> tuple[float, float]:
        for group in self.settings.groups:
            if group.match.strip("^") in name:
                return group.lr_factor, decay if group.weight_decay is None else group.weight_decay
        return 1.0, decay

    def step(self, rate: float) -> None:
        settings, keep = self.settings, self.settings.momentum
        for name, parameter in self.matrices.items():
            factor, decay = self._values(name, settings.weight_decay)
            gradient = parameter.grad
            assert gradient is not None
            buffer = self.buffers.setdefault(name, torch.zeros_like(gradient))
            buffer.mul_(keep).add_(gradient, alpha=1 - keep)
            update = (1 - keep) * gradient + keep * buffer if settings.nesterov else buffer
            direction = plain(update.reshape(len(update), -1), settings.ns_steps).view_as(update)
            scale = math.sqrt(len(update) / update[0].numel())
            with torch.no_grad():
                parameter.mul_(1 - rate * factor * decay).sub_(rate * factor * scale * direction)
        for group, first in zip(self.others.param_groups, self.first, strict=True):
            group["lr"] = first * rate / settings.lr
        self.others.step()


def rate(step: int) -> float:
    return 0.03 * (1 - step / 10)


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("name", ARMS)
def test_equal_to_a_plain_reference_step_by_step(name: str, stacked: bool) -> None:
    settings = muon(**ARMS[name])
    networks, references = ([network(seed) for seed in range(2)] for _ in range(2))
    flat = flatten_parameters(networks)
    optimizer = make_optimizer([settings] * 2, flat, stacked=stacked)
    theirs = [Reference(each, settings) for each in references]
    for step in range(STEPS):
        flat.zero_gradients()
        for model, reference, own in zip(networks, references, theirs, strict=True):
            backward(model, step)
            reference.zero_grad()
            backward(reference, step)
            own.step(rate(step))
        optimizer.step(torch.full((2, 1), rate(step), dtype=torch.float64))
        for model, reference in zip(networks, references, strict=True):
            for mine, other in zip(model.parameters(), reference.parameters(), strict=True):
                torch.testing.assert_close(mine, other, rtol=1e-3, atol=2e-5)


def test_members_with_other_values_end_as_they_do_alone() -> None:
    members = [muon(**values) for values in ARMS.values() if "adamw" not in str(values)]

    def trained(chosen: list[int], stacked: bool) -> Tensor:
        networks = [network(number) for number in chosen]
        flat = flatten_parameters(networks)
        optimizer = make_optimizer([members[number] for number in chosen], flat, stacked=stacked)
        for step in range(4):
            flat.zero_gradients()
            for model in networks:
                backward(model, step)
            optimizer.step(torch.full((len(chosen), 1), 0.03), torch.full((len(chosen), 1), 0.9) if step == 2 else None)
        return flat.values

    everyone = list(range(len(members)))
    rows, stacked = trained(everyone, stacked=False), trained(everyone, stacked=True)
    for number in everyone:
        assert torch.equal(rows[number], trained([number], stacked=False)[0])
        torch.testing.assert_close(stacked[number], rows[number], rtol=1e-3, atol=2e-5)


def test_rules_of_others_may_differ_in_a_cohort() -> None:
    members = [muon(), muon(others={"name": "adam", "lr": 0.001}), config.SGD()]
    flat = flatten_parameters([network(number) for number in range(3)])
    optimizer = make_optimizer(members, flat)
    assert [set(optimizer.state(number)) for number in range(3)] == [
        {"momentum_buffer", "others.momentum_buffer"},
        {"momentum_buffer", "others.step", "others.exp_avg", "others.exp_avg_sq"},
        {"momentum_buffer"},
    ]


@pytest.mark.parametrize("steps", [1, 3, 5, 8])
@pytest.mark.parametrize("shape", [(6, 75), (16, 150), (120, 400), (84, 120), (30, 7)])
@pytest.mark.parametrize("decades", [0, 3, 6])
def test_iterations_on_the_gram_matrix_are_the_plain_ones_within_rounding(
    shape: tuple[int, int], steps: int, decades: int
) -> None:
    torch.manual_seed(0)
    left, values, right = torch.linalg.svd(torch.randn(shape, dtype=torch.float64), full_matrices=False)
    given = ((left * torch.logspace(0, -decades, len(values), dtype=torch.float64)) @ right).float()
    exact = plain(given.double(), steps)
    ours = (orthogonalised(given, steps) - exact).abs().max()
    theirs = (plain(given, steps) - exact).abs().max()
    bound = 3 * theirs + 1e-5  # that of BLOCK. Five iterations at once reach 2e-3
    assert ours < bound
    batch = orthogonalised(torch.stack([given, 2 * given]), steps)
    assert ((batch - exact).abs().amax(dim=(1, 2)) < bound).all()


def test_matrices_are_those_of_all_layers_but_the_last() -> None:
    found = matrices_of(flatten_parameters([Net(10)]))
    assert [each.span.name for each in found] == ["conv1.weight", "conv2.weight", "fc1.weight", "fc2.weight"]
    assert [each.scale for each in found] == pytest.approx([math.sqrt(each) for each in (6 / 75, 16 / 150, 0.3, 0.7)])


def test_the_last_layer_is_that_of_the_whole_network_where_parts_are_frozen() -> None:
    model = Net(10)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(("fc1", "fc2")))
    assert [each.span.name for each in matrices_of(flatten_parameters([model]))] == ["fc1.weight", "fc2.weight"]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("fc3"))
    flat = flatten_parameters([model])
    assert matrices_of(flat) == []
    before = flat.values.clone()
    flat.gradients.fill_(1.0)
    make_optimizer([muon()], flat).step(torch.tensor([[0.03]]))
    assert not torch.equal(flat.values, before)


def test_torchs_muon_moves_in_the_same_direction() -> None:
    """torch's iterations are in bfloat16. Its scale is that of this lab for matrices with more rows than columns."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 40, bias=False), nn.Linear(40, 3, bias=False))
    before, gradient = model[0].weight.detach().clone(), torch.randn(40, 20)
    flat = flatten_parameters([model])
    model[0].weight.grad.copy_(gradient)  # type: ignore[union-attr]
    make_optimizer([muon(weight_decay=0.1)], flat).step(torch.tensor([[0.03]]))
    theirs = nn.Parameter(before.clone())
    theirs.grad = gradient
    torch.optim.Muon([theirs], lr=0.03, weight_decay=0.1, momentum=0.95).step()
    ours, torchs = ((each.detach() - before).flatten() for each in (model[0].weight, theirs))
    assert torch.cosine_similarity(ours, torchs, dim=0) > 0.999
    assert float(ours.norm() / torchs.norm()) == pytest.approx(1, abs=0.02)


def test_a_network_without_a_matrix_is_refused() -> None:
    with pytest.raises(SettingsError, match="this network has none; choose another optimizer"):
        make_optimizer([muon()], flatten_parameters([nn.Linear(4, 2)]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"others": {"name": "adamm"}}, "optimizer.others.name: 'adamm' is not one of: sgd, adam, adamw"),
        ({"others": "adam"}, "'adam' is text; expected a section, such as others: {name: adam}"),
        ({"others": {"betas": [0.1, 0.2]}}, "optimizer.others.betas: sgd has no betas"),
        ({"others": {"momentum": 0}}, "nesterov of others needs momentum above 0"),
        ({"others": {"lr": 0}}, "optimizer.others.lr: 0 is out of range"),
        ({"ns_steps": 0}, "optimizer.ns_steps: 0 is out of range"),
    ],
)
def test_settings_that_cannot_be_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        muon(**values)
    assert message in str(caught.value)


def test_the_id_has_what_differs_from_the_defaults() -> None:
    def stated(**values: Any) -> Any:
        return recipe(config.Settings(optimizer=muon(**values)))["optimizer"]

    assert stated() == {"name": "muon", "lr": 0.03}
    assert stated(others={"name": "sgd", "lr": 0.02}) == stated()
    assert stated(others={"lr": 0.05}) == {"name": "muon", "lr": 0.03, "others": {"lr": 0.05}}
