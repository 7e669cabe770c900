"""Newton–Schulz iterations of the kernels: those of torch within rounding, and the same bits each time."""

from __future__ import annotations

import shutil

import pytest
import torch

from cifar_lab.training.backends.kernels.newton_schulz import KernelOrthogonaliser
from cifar_lab.training.optim.newton_schulz import orthogonalised

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


@pytest.mark.parametrize("steps", [1, 3, 5, 8])
@pytest.mark.parametrize("shape", [(6, 75), (16, 150), (120, 400), (84, 120), (30, 7), (1, 9), (3, 3), (33, 130)])
@pytest.mark.parametrize("decades", [0, 6])
def test_they_are_those_of_torch_within_rounding(shape: tuple[int, int], steps: int, decades: int) -> None:
    torch.manual_seed(0)
    left, values, right = torch.linalg.svd(torch.randn(shape, dtype=torch.float64), full_matrices=False)
    given = ((left * torch.logspace(0, -decades, len(values), dtype=torch.float64)) @ right).float()
    before, exact, kernels = given.clone(), orthogonalised(given.double(), steps), KernelOrthogonaliser()
    found = kernels(given, steps)
    theirs = (orthogonalised(given, steps) - exact).abs().max()
    assert (found - exact).abs().max() < 3 * theirs + 5e-6
    assert torch.equal(given, before)
    kernels(torch.randn(shape), steps)
    assert torch.equal(kernels(given, steps), found), "nothing is left of the matrix before"


def test_a_matrix_of_zeros_stays_one() -> None:
    assert not KernelOrthogonaliser()(torch.zeros(5, 8), 5).any()
