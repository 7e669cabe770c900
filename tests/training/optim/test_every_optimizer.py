"""What every optimizer keeps to, whatever its rule: one form for a CPU and one for a GPU, and a state that resumes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cifar_lab import config
from cifar_lab.config.registry import SECTION_CHOICES
from cifar_lab.models.flat_parameters import flatten_parameters
from cifar_lab.training.optim.factory import MixedOptimizer, make_optimizer
from cifar_lab.training.optim.optimizers import CohortOptimizer
from tests.config.every_field import FieldCase, every_field

RATES = torch.tensor([[0.02]])
LARGE: dict[str, float] = {"eps": 0.1, "weight_decay": 0.2}
"""Values that keep a few steps away from dividing by nothing."""


def members(name: str, folder: Path) -> list[config.Optimizer]:
    """The optimizer at its defaults, and with another value of each of its fields."""
    cls = SECTION_CHOICES["optimizer"][1][name]
    base = {key: value for key, value in LARGE.items() if key in cls.model_fields}
    cases: list[FieldCase] = [case for case in every_field() if case.cls is cls]
    return [settings.optimizer for case in cases for settings in case.pair(folder, base)]


COHORT = [name for name, cls in SECTION_CHOICES["optimizer"][1].items() if not issubclass(cls, config.TorchOptimizer)]
"""Optimizers of cohorts. torch executes the others: see `tests/training/backends/test_plain.py`."""


def network() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.Linear(3, 2))


class Training:
    """Rows of numbers under an optimizer, moved by gradients that hang on nothing but the step."""

    def __init__(self, settings: list[config.Optimizer], stacked: bool) -> None:
        torch.manual_seed(0)
        self.parameters = flatten_parameters([network() for _ in settings])
        self.optimizer: CohortOptimizer | MixedOptimizer = make_optimizer(settings, self.parameters, stacked=stacked)
        self.rates = RATES.expand(len(settings), 1)

    def step(self, number: int) -> None:
        generator = torch.Generator().manual_seed(number)
        self.parameters.gradients.copy_(torch.randn(self.parameters.gradients.shape, generator=generator))
        momentum = torch.full_like(self.rates, 0.7) if number % 3 == 2 else None
        self.optimizer.step(self.rates, momentum)


@pytest.mark.parametrize("name", COHORT)
def test_rows_one_by_one_are_the_rows_together(name: str, tmp_path: Path) -> None:
    rows, together = (Training(members(name, tmp_path), stacked) for stacked in (False, True))
    before = rows.parameters.values.clone()
    for number in range(6):
        for training in (rows, together):
            training.step(number)
    torch.testing.assert_close(rows.parameters.values, together.parameters.values, rtol=1e-4, atol=1e-5)
    assert (rows.parameters.values != before).any(dim=1).all()


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("name", COHORT)
def test_it_resumes_from_its_state(name: str, stacked: bool, tmp_path: Path) -> None:
    settings = members(name, tmp_path)
    whole, resumed = Training(settings, stacked), Training(settings, stacked)
    for number in range(3):
        whole.step(number)
    resumed.parameters.values.copy_(whole.parameters.values)
    for member in range(len(settings)):
        resumed.optimizer.load_state(member, whole.optimizer.state(member))
    for number in range(3, 6):
        whole.step(number)
        resumed.step(number)
    assert torch.equal(whole.parameters.values, resumed.parameters.values)
