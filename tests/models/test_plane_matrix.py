"""The matrix product in place of a convolution of a small plane, against torch's convolution."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cifar_lab.models import plane_matrix
from cifar_lab.models.convolutions import CroppedConv2d

# (B, C, H, W), kernel, stride, padding
SUITABLE = {
    "2 × 2 of ResNet18": ((5, 16, 2, 2), (3, 3), (1, 1), (1, 1)),
    "one row": ((4, 8, 1, 2), (1, 3), (1, 1), (0, 1)),
    "larger kernel, stride": ((3, 8, 2, 2), (5, 4), (2, 1), (2, 2)),
}
OTHERS = {
    "4 × 4": ((5, 16, 4, 4), (3, 3), (1, 1), (1, 1)),
    "4 × 4 to 2 × 2": ((5, 16, 4, 4), (3, 3), (2, 2), (1, 1)),
    "a pixel of four": ((5, 16, 2, 2), (1, 1), (1, 1), (0, 0)),
    "one pixel": ((5, 16, 1, 1), (3, 3), (1, 1), (1, 1)),
    "beyond the kernel": ((5, 16, 2, 2), (3, 3), (1, 1), (2, 2)),
}


def planes(shape: tuple[int, ...]) -> Tensor:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    return drawn.to(torch.bfloat16).contiguous(memory_format=torch.channels_last).requires_grad_()


def suits(given: Tensor, *sizes: tuple[int, int]) -> bool:
    with torch.autocast("cpu", torch.bfloat16):
        return plane_matrix.suits(given, *sizes)


@pytest.mark.parametrize("case", SUITABLE)
@pytest.mark.parametrize("biased", [False, True])
def test_values_and_gradients_are_torchs(case: str, biased: bool) -> None:
    shape, kernel, stride, padding = SUITABLE[case]
    given = planes(shape)
    assert suits(given, kernel, stride, padding)
    generator = torch.Generator().manual_seed(2)
    weight = (torch.randn(6, shape[1], *kernel, generator=generator) / 10).requires_grad_()
    bias = torch.randn(6, generator=generator).requires_grad_() if biased else None
    expected = F.conv2d(
        given.float(), weight.to(torch.bfloat16).float(), None if bias is None else bias.to(torch.bfloat16).float(),
        stride, padding,
    )  # fmt: skip
    with torch.autocast("cpu", torch.bfloat16):
        found = plane_matrix.convolve(given, weight, bias, stride, padding)
    assert found.dtype == torch.bfloat16
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found.float(), expected, rtol=1e-2, atol=1e-2)
    wanted = [each for each in (given, weight, bias) if each is not None]
    slope = torch.randn(expected.shape, generator=generator).to(torch.bfloat16)
    ours = torch.autograd.grad(found, wanted, slope)
    for mine, theirs in zip(ours, torch.autograd.grad(expected, wanted, slope.float()), strict=True):
        torch.testing.assert_close(mine.float(), theirs.float(), rtol=2e-2, atol=3e-2)


@pytest.mark.parametrize("case", OTHERS)
def test_other_planes_are_left_to_torch(case: str) -> None:
    shape, *sizes = OTHERS[case]
    assert not suits(planes(shape), *sizes)


def test_the_layer_uses_it_in_bf16_alone() -> None:
    shape, *sizes = SUITABLE["2 × 2 of ResNet18"]
    assert not plane_matrix.suits(planes(shape), *sizes)
    assert not suits(planes(shape).detach().contiguous(), *sizes)
    layer = CroppedConv2d(16, 6, 3, padding=1, bias=False)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(planes(shape))
        expected = plane_matrix.convolve(planes(shape), layer.weight, None, (1, 1), (1, 1))
    assert torch.equal(found, expected)
    exact = planes(shape).float()
    assert torch.equal(layer(exact), F.conv2d(exact, layer.weight, None, padding=1))
