"""Gradient clipping: equal to `torch.nn.utils.clip_grad_norm_` in each form, for each member by itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from cifar_lab import config
from cifar_lab.models.flat_parameters import FlatParameters, flatten_parameters
from cifar_lab.training.optim.factory import make_optimizer

BOUNDS = (0.5, None, 1e-3, 1e9)


def networks(count: int = len(BOUNDS)) -> tuple[list[nn.Module], FlatParameters]:
    found: list[nn.Module] = []
    for seed in range(count):
        torch.manual_seed(seed)
        found.append(nn.Sequential(nn.Linear(190, 101), nn.ReLU(), nn.Linear(101, 7)))
    return found, flatten_parameters(found)


def arm(bound: float | None) -> config.SGD:
    return config.SGD(lr=0.1, momentum=0.9, clip_norm=bound)


def backward(model: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    model(torch.randn(4, 190, generator=generator)).square().sum().backward()


@pytest.mark.parametrize("stacked", [False, True])
def test_equal_to_torch_step_by_step(stacked: bool) -> None:
    (models, flat), (references, _) = networks(), networks()
    optimizer = make_optimizer([arm(bound) for bound in BOUNDS], flat, stacked=stacked)
    theirs = [torch.optim.SGD(each.parameters(), 0.1, momentum=0.9) for each in references]
    for step in range(5):
        flat.zero_gradients()
        for model, reference, own, bound in zip(models, references, theirs, BOUNDS, strict=True):
            backward(model, step)
            own.zero_grad()
            backward(reference, step)
            if bound is not None:
                torch.nn.utils.clip_grad_norm_(reference.parameters(), bound)
            own.step()
        optimizer.step(torch.full((len(BOUNDS), 1), 0.1))
        for model, reference in zip(models, references, strict=True):
            for mine, other in zip(model.parameters(), reference.parameters(), strict=True):
                torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


def row_after_a_step(bound: float, threads: int, alone: bool) -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        models, flat = networks(1 if alone else 2)
        optimizer = make_optimizer([arm(bound)] * len(models), flat)
        flat.gradients.copy_(torch.randn(flat.gradients.shape[1], generator=torch.Generator().manual_seed(0)))
        optimizer.step(torch.full((len(models), 1), 0.1))
    finally:
        torch.set_num_threads(before)
    return flat.values[0]


def test_the_bits_on_a_cpu_depend_neither_on_threads_nor_on_other_members() -> None:
    expected = row_after_a_step(0.5, 1, alone=True)
    assert torch.equal(row_after_a_step(0.5, 2, alone=True), expected)
    assert torch.equal(row_after_a_step(0.5, 1, alone=False), expected)


@pytest.mark.parametrize("stacked", [False, True])
def test_a_member_without_a_limit_keeps_its_gradients_whatever_they_are(stacked: bool) -> None:
    _, flat = networks(2)
    optimizer = make_optimizer([arm(None), arm(0.5)], flat, stacked=stacked)
    flat.gradients.zero_()
    flat.gradients[0, 0] = torch.inf
    optimizer.step(torch.full((2, 1), 0.1))
    assert torch.isfinite(flat.values[0, 1:]).all()
    assert torch.isinf(flat.values[0, 0])
