"""The convolutions of several members against torch's, one member at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cifar_lab.models import MODELS
from cifar_lab.models.convolutions import Geometry, by_groups, by_products, faster_form, form_for, graph_of

forms = pytest.mark.parametrize("form", [by_groups, by_products])

CASES = {
    "Net, first layer": ((3, 4, 3, 32, 32), (6, 5, 5), Geometry((1, 1), (0, 0)), True),
    "stem of ResNet18": ((2, 3, 3, 32, 32), (8, 7, 7), Geometry((2, 2), (3, 3)), False),
    "neither square nor even": ((2, 3, 4, 9, 14), (5, 2, 3), Geometry((2, 1), (1, 2)), True),
    "one by one, skipping": ((2, 3, 4, 8, 8), (5, 1, 1), Geometry((2, 2), (0, 0)), False),
}


def tensors(case: str) -> tuple[Tensor, Tensor, Tensor | None, Geometry]:
    shape, (outputs, height, width), geometry, biased = CASES[case]
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(shape, generator=generator, requires_grad=True)
    weight = torch.randn(shape[0], outputs, shape[2], height, width, generator=generator, requires_grad=True)
    bias = torch.randn(shape[0], outputs, generator=generator, requires_grad=True) if biased else None
    return images, weight, bias, geometry


@forms
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_torchs(case: str, form: Callable[..., Tensor]) -> None:
    images, weight, bias, geometry = tensors(case)
    wanted = [each for each in (images, weight, bias) if each is not None]
    expected = torch.stack(
        [
            F.conv2d(images[k], weight[k], None if bias is None else bias[k], geometry.stride, geometry.padding)
            for k in range(len(images))
        ]
    )
    ours = form(images, weight, bias, geometry)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
    slope = torch.randn(expected.shape, generator=torch.Generator().manual_seed(5))
    for found, theirs in zip(
        torch.autograd.grad(ours, wanted, slope), torch.autograd.grad(expected, wanted, slope), strict=True
    ):
        torch.testing.assert_close(found, theirs, rtol=1e-4, atol=1e-3)


@forms
def test_members_may_lie_in_memory_in_any_order(form: Callable[..., Tensor]) -> None:
    images, weight, bias, geometry = tensors("neither square nor even")
    turned = images.detach().transpose(0, 1).contiguous().transpose(0, 1)
    assert turned.stride() != images.stride()
    torch.testing.assert_close(form(turned, weight, bias, geometry), form(images, weight, bias, geometry))


@forms
def test_under_autocast_the_result_is_bf16(form: Callable[..., Tensor]) -> None:
    images, weight, bias, geometry = tensors("Net, first layer")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = form(images, weight, bias, geometry)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), form(images, weight, bias, geometry), rtol=0.05, atol=0.3)


def test_the_rule_is_by_device_and_width() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert [form_for(channels, cpu) for channels in (3, 64)] == [by_groups, by_groups]
    assert [form_for(channels, gpu) for channels in (3, 31, 32, 64)] == [by_products, by_products, by_groups, by_groups]


def test_a_measurement_leaves_gradients_alone_and_picks_one_of_the_forms() -> None:
    images, weight, bias, geometry = tensors("one by one, skipping")
    assert faster_form(images, weight, bias, geometry) in (by_groups, by_products)
    assert images.grad is None
    assert weight.grad is None


def test_networks_are_traced_and_run_in_threads_at_once() -> None:
    """torch patches all modules of the process while it traces one."""

    def trace_or_run(k: int) -> None:
        network = MODELS["Net1"](10)
        for _ in range(10):
            if k % 2:
                graph_of(network)
            else:
                network(torch.zeros(2, 3, 32, 32))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(trace_or_run, range(4)))
