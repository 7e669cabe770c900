import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cifar_lab import config
from cifar_lab.models.flat_parameters import FlatParameters, flatten_parameters
from cifar_lab.training.optim import optimizers
from cifar_lab.training.optim.factory import make_optimizer
from cifar_lab.training.optim.optimizers import CohortOptimizer

STEPS = 60

SGD_COHORT = [
    config.SGD(lr=0.03, momentum=0.9),
    config.SGD(lr=0.02, momentum=0.8, weight_decay=0.05, nesterov=True),
    config.SGD(lr=0.05, momentum=0.0, weight_decay=0.01),
    config.SGD(lr=0.01, momentum=0.0),
]
ADAM_COHORT = [
    config.Adam(name="adam", lr=0.02),
    config.Adam(name="adam", lr=0.05, betas=(0.8, 0.95), eps=1e-3),
    config.Adam(name="adam", lr=0.01, weight_decay=0.1),
    config.Adam(name="adam", lr=0.01, betas=(0.0, 0.9)),
]
ADAMW_COHORT = [
    config.AdamW(name="adamw", lr=0.02),
    config.AdamW(name="adamw", lr=0.03, weight_decay=0.3, betas=(0.85, 0.99), eps=1e-5),
    config.AdamW(name="adamw", lr=0.01, weight_decay=0.0),
]
COHORTS = {"sgd": SGD_COHORT, "adam": ADAM_COHORT, "adamw": ADAMW_COHORT}
every_kind = pytest.mark.parametrize("kind", COHORTS)
every_way = pytest.mark.parametrize("stacked", [False, True])


class Bowl(nn.Module):
    """A curved valley with its floor far from the origin, each direction of another steepness."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.w = nn.Parameter(torch.randn(5, 3, generator=generator) + 2)
        self.b = nn.Parameter(torch.randn(7, generator=generator) - 4)

    def loss(self) -> Tensor:
        steep = torch.linspace(0.2, 3, 15).view(5, 3)
        return (steep * (self.w + 1.5).square()).sum() + (self.b - 3).square().sum() / 2 + self.w.mean() * self.b.mean()


def torch_optimizer(settings: config.Optimizer, parameters: Any, **how: Any) -> torch.optim.Optimizer:
    decay = settings.weight_decay
    if isinstance(settings, config.SGD):
        how |= {"momentum": settings.momentum, "nesterov": settings.nesterov}
        return torch.optim.SGD(parameters, settings.lr, weight_decay=decay, **how)
    kind = torch.optim.AdamW if isinstance(settings, config.AdamW) else torch.optim.Adam
    return kind(parameters, settings.lr, betas=settings.betas, eps=settings.eps, weight_decay=decay, **how)


def rate(settings: Sequence[config.Optimizer], step: int) -> Tensor:
    """A learning rate that changes at each step, (K, 1) float64."""
    return torch.tensor([[s.lr / (1 + step / 20)] for s in settings], dtype=torch.float64)


def override(settings: Sequence[config.Optimizer], step: int) -> Tensor:
    """A momentum that changes at each step, (K, 1) float64."""
    return torch.tensor([[0.85 + 0.002 * k + 0.001 * step] for k in range(len(settings))], dtype=torch.float64)


def cohort(settings: Sequence[config.Optimizer], stacked: bool, seeds: Sequence[int]) -> Any:
    networks = [Bowl(seed) for seed in seeds]
    flat = flatten_parameters(networks)
    return networks, flat, make_optimizer(settings, flat, stacked=stacked)


def train(
    networks: Sequence[Bowl],
    flat: FlatParameters,
    optimizer: CohortOptimizer,
    settings: Sequence[config.Optimizer],
    steps: range = range(STEPS),
    moving: bool = False,
) -> Tensor:
    for step in steps:
        flat.zero_gradients()
        for network in networks:
            network.loss().backward()
        optimizer.step(rate(settings, step), override(settings, step) if moving else None)
    return flat.values


def reference(settings: Sequence[config.Optimizer], k: int, moving: bool) -> Bowl:
    """Member k trained by torch's own default optimizer."""
    network = Bowl(k)
    optimizer = torch_optimizer(settings[k], network.parameters(), foreach=False)
    group = optimizer.param_groups[0]
    for step in range(STEPS):
        optimizer.zero_grad()
        network.loss().backward()
        group["lr"] = float(rate(settings, step)[k])
        if moving:
            value = float(override(settings, step)[k])
            group |= {"momentum": value} if "momentum" in group else {"betas": (value, group["betas"][1])}
        optimizer.step()
    return network


@every_kind
@every_way
@pytest.mark.parametrize("moving", [False, True])
def test_equal_to_torch_step_for_step(kind: str, stacked: bool, moving: bool) -> None:
    settings = COHORTS[kind]
    networks, flat, optimizer = cohort(settings, stacked, range(len(settings)))
    start = flat.values.clone()
    train(networks, flat, optimizer, settings, moving=moving)
    assert not torch.allclose(start, flat.values, rtol=0.05)
    for k, network in enumerate(networks):
        expected = reference(settings, k, moving)
        torch.testing.assert_close(network.w, expected.w, rtol=2e-6, atol=2e-6)
        torch.testing.assert_close(network.b, expected.b, rtol=2e-6, atol=2e-6)


@every_kind
def test_large_rows_of_a_gpu_have_torchs_fused_kernel(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here on the CPU, where it gives the bits of one row after the other, although the rates are tensors."""
    settings = COHORTS[kind]
    expected = train(*cohort(settings, False, range(len(settings))), settings)
    monkeypatch.setattr(optimizers, "FUSED_NUMBERS", 1)
    networks, flat, optimizer = cohort(settings, True, range(len(settings)))
    monkeypatch.setattr(type(optimizer), "_step_stacked", None)
    assert torch.equal(train(networks, flat, optimizer, settings), expected)


@every_kind
def test_one_row_on_the_cpu_is_torchs_fused_optimizer_bit_for_bit(kind: str) -> None:
    for settings in COHORTS[kind]:
        ours = nn.Linear(29, 33)
        flat = flatten_parameters([ours])
        row = nn.Parameter(flat.values[0].clone())
        fused = torch_optimizer(settings, [row], fused=True)
        optimizer = make_optimizer([settings], flat)
        generator = torch.Generator().manual_seed(4)
        for _ in range(STEPS):
            gradient = torch.randn(flat.gradients.shape, generator=generator) + 0.3
            flat.gradients.copy_(gradient)
            row.grad = gradient[0].clone()
            optimizer.step(torch.tensor([[settings.lr]], dtype=torch.float64), None)
            fused.step()
        assert torch.equal(flat.values[0], row)


@every_kind
@every_way
def test_a_member_alone_is_the_member_in_the_cohort_bit_for_bit(kind: str, stacked: bool) -> None:
    settings = COHORTS[kind]
    together = train(*cohort(settings, stacked, range(len(settings))), settings)
    for k, own in enumerate(settings):
        alone = train(*cohort([own], stacked, [k]), [own])
        assert torch.equal(together[k], alone[0]), own


@every_kind
@every_way
def test_where_the_schedule_gives_no_momentum_the_members_own_holds(kind: str, stacked: bool) -> None:
    """Exactly: 0.9 that has been through a table of float32 is another number."""
    settings = COHORTS[kind]
    (networks, flat, optimizer), expected = (cohort(settings, stacked, range(len(settings))) for _ in range(2))
    for step in range(STEPS):
        for nets, rows, each, momentum in (
            (networks, flat, optimizer, torch.full((len(settings), 1), math.nan)), (*expected, None)
        ):  # fmt: skip
            rows.zero_gradients()
            for network in nets:
                network.loss().backward()
            each.step(rate(settings, step), momentum)
    assert torch.equal(flat.values, expected[1].values)


@every_kind
@every_way
def test_resumes_exactly(kind: str, stacked: bool) -> None:
    settings = COHORTS[kind]
    seeds = range(len(settings))
    whole = train(*cohort(settings, stacked, seeds), settings, moving=True)
    first = cohort(settings, stacked, seeds)
    train(*first, settings, steps=range(23), moving=True)
    states, values = [first[2].state(k) for k in seeds], first[1].values.clone()
    train(*first, settings, steps=range(23, 30), moving=True)  # the state is a copy: going on must not change it
    second = cohort(settings, stacked, seeds)
    second[1].values.copy_(values)
    for k in seeds:
        second[2].load_state(k, states[k])
    assert torch.equal(train(*second, settings, steps=range(23, STEPS), moving=True), whole)


@every_kind
def test_each_part_of_the_state_matters(kind: str) -> None:
    settings = COHORTS[kind]
    first = cohort(settings, False, range(len(settings)))
    train(*first, settings, steps=range(5))
    members = range(len(settings))
    states, values = [first[2].state(k) for k in members], first[1].values.clone()
    whole = train(*first, settings, steps=range(5, 8)).clone()
    for dropped in states[0]:
        second = cohort(settings, False, members)
        second[1].values.copy_(values)
        for k in members:
            second[2].load_state(k, {**states[k], dropped: torch.zeros_like(states[k][dropped])})
        assert not torch.equal(train(*second, settings, steps=range(5, 8)), whole), dropped


def test_state_of_another_optimizer_is_refused() -> None:
    _, _, optimizer = cohort(ADAM_COHORT, False, range(4))
    state = optimizer.state(2)
    cases: list[tuple[dict[str, Tensor], str]] = [
        ({}, "optimizer state has nothing, expected exp_avg, exp_avg_sq, step"),
        (
            {"momentum_buffer": torch.zeros(1, 32)},
            "optimizer state has momentum_buffer, expected exp_avg, exp_avg_sq, step",
        ),
        (
            {**state, "exp_avg": torch.zeros(4, 32)},
            "optimizer state: exp_avg is torch.float32 (4, 32), expected torch.float32 (1, 32)",
        ),
        (
            {**state, "step": torch.zeros(1, 1, dtype=torch.int64)},
            "optimizer state: step is torch.int64 (1, 1), expected torch.float32 (1, 1)",
        ),
    ]
    for bad, message in cases:
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            optimizer.load_state(2, bad)
        assert str(caught.value) == message


MIXED = [SGD_COHORT[0], SGD_COHORT[1], ADAM_COHORT[0], SGD_COHORT[2]]


@every_way
def test_members_of_several_kinds_are_each_as_alone(stacked: bool) -> None:
    together = train(*cohort(MIXED, stacked, range(4)), MIXED, moving=True)
    for k, settings in enumerate(MIXED):
        networks, flat, optimizer = cohort([settings], stacked, [k])
        for step in range(STEPS):
            flat.zero_gradients()
            networks[0].loss().backward()
            optimizer.step(rate(MIXED, step)[k : k + 1], override(MIXED, step)[k : k + 1])
        assert torch.equal(together[k], flat.values[0])


def test_members_of_several_kinds_resume_each_as_alone() -> None:
    whole = train(*cohort(MIXED, True, range(4)), MIXED)
    first = cohort(MIXED, True, range(4))
    train(*first, MIXED, steps=range(7))
    second = cohort(MIXED, True, range(4))
    second[1].values.copy_(first[1].values)
    for k in range(4):
        second[2].load_state(k, first[2].state(k))
    assert torch.equal(train(*second, MIXED, steps=range(7, STEPS)), whole)


def test_one_optimizer_a_row() -> None:
    flat = flatten_parameters([Bowl(0), Bowl(1)])
    with pytest.raises(ValueError, match=r"^1 optimizers for a cohort of 2$"):
        make_optimizer(SGD_COHORT[:1], flat)


@every_kind
@every_way
def test_a_diverged_member_leaves_the_others_alone(kind: str, stacked: bool) -> None:
    settings = COHORTS[kind]
    healthy = train(*cohort(settings, stacked, range(len(settings))), settings)
    networks, flat, optimizer = cohort(settings, stacked, range(len(settings)))
    flat.values[1].fill_(float("nan"))
    train(networks, flat, optimizer, settings)
    assert flat.values[1].isnan().any()
    others = [k for k in range(len(settings)) if k != 1]
    assert torch.equal(flat.values[others], healthy[others])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
@every_kind
def test_a_cuda_graph_can_hold_a_step(kind: str) -> None:
    settings = COHORTS[kind]
    networks = [nn.Linear(29, 33, device="cuda") for _ in settings]
    flat = flatten_parameters(networks)
    optimizer = make_optimizer(settings, flat)
    lr = rate(settings, 0).cuda()
    flat.gradients.fill_(0.1)
    for _ in range(3):
        optimizer.step(lr, None)
    states, values = [optimizer.state(k) for k in range(len(settings))], flat.values.clone()
    flat.gradients.fill_(0.1)
    optimizer.step(lr, None)
    expected = flat.values.clone()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        optimizer.step(lr, None)
    for k, state in enumerate(states):
        optimizer.load_state(k, state)
    flat.values.copy_(values)
    flat.gradients.fill_(0.1)
    graph.replay()
    assert torch.equal(flat.values, expected)
