"""Max-pooling and ReLU where torch has a rule of its own: equal pixels, and numbers that are none."""

from __future__ import annotations

import copy
import itertools
import math
from ctypes import byref
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cifar_lab.training.backends.kernels.compiler import KernelWorker, Layer, library
from cifar_lab.training.backends.kernels.layers import LANES

from .small_runs import (
    NETS,
    compare_gradients,
    compare_losses,
    drawn_split,
    own_steps,
    settings,
    split_of,
    steps_of,
    torch_gradients,
)

ODD = torch.tensor([0.0, -0.0, 1.0, 1.0, -1.0, math.nan, math.inf, -math.inf])


def by_lanes(images: Tensor) -> Tensor:
    """(16, C, H, W) → (C, H, W, 16), as the kernels have them."""
    return images.permute(1, 2, 3, 0).contiguous()


def of_lanes(planes: Tensor) -> Tensor:
    return planes.permute(3, 0, 1, 2)


def drawn(*shape: int) -> Tensor:
    """Mostly equal and odd numbers."""
    generator = torch.Generator().manual_seed(5)
    return ODD[torch.randint(len(ODD), shape, generator=generator)]


def test_the_first_largest_of_a_window_counts_and_what_is_no_number_stays_so() -> None:
    images, gradient = drawn(LANES, 2, 6, 8).requires_grad_(), torch.randn(LANES, 2, 3, 4)
    expected = F.max_pool2d(images, 2)
    expected.backward(gradient)
    planes, pooled, index = by_lanes(images.detach()), torch.zeros(2, 3, 4, LANES), torch.zeros(2, 3, 4, LANES).int()
    back, given = torch.full_like(planes, math.nan), by_lanes(gradient)
    layer = Layer(
        in_=planes.data_ptr(), out=pooled.data_ptr(), in_gradient=back.data_ptr(), out_gradient=given.data_ptr(),
        channels=2, height=6, width=8, outputs=2, out_height=3, out_width=4, index=index.data_ptr(),
    )  # fmt: skip
    library().max_pool(byref(layer), byref(KernelWorker()))
    library().max_pool_back(byref(layer), byref(KernelWorker()))
    torch.testing.assert_close(of_lanes(pooled), expected.detach(), rtol=0, atol=0, equal_nan=True)
    assert images.grad is not None
    assert torch.equal(of_lanes(back), images.grad)


def test_relu_is_torchs_bit_for_bit() -> None:
    values, gradient = drawn(64).requires_grad_(), torch.randn(64)
    expected = F.relu(values)
    expected.backward(gradient)
    own, back = values.detach().clone(), gradient.clone()
    layer = Layer(out=own.data_ptr(), out_gradient=back.data_ptr(), out_size=64)
    library().relu(byref(layer), byref(KernelWorker()))
    library().relu_back(byref(layer), byref(KernelWorker()))
    torch.testing.assert_close(own, expected.detach(), rtol=0, atol=0, equal_nan=True)
    assert values.grad is not None
    assert torch.equal(back, values.grad)


@pytest.mark.parametrize("model", NETS)
def test_images_and_weights_all_alike_give_the_gradients_of_double_precision(model: str) -> None:
    """Every window then has four equal numbers, and every image equal logits, of which the first counts."""
    labels = torch.arange(20) % 10
    split = split_of((labels.view(20, 1, 1, 1) * 20 + 5).expand(20, 3, 32, 32).to(torch.uint8), labels)
    arm = settings(f"model.name={model}", "data.batch_size=20")
    expected, own = steps_of(arm, split), own_steps(arm, split)
    with torch.no_grad():
        for steps in (expected, own):
            steps.cohort.parameters.values.fill_(0.01)
    ((pictures, of_pictures),) = expected.batches.epoch(0)
    (reference,), (network,) = expected.cohort.networks, own.cohort.networks
    exact = copy.deepcopy(reference).double()
    precise, _ = torch_gradients(exact, pictures[0].double(), of_pictures[0], 0.0)
    loss, _ = torch_gradients(reference, pictures[0], of_pictures[0], 0.0)
    (batch,) = own.epoch_batches(0)
    own.compute_gradients(batch, 0)
    compare_gradients(network, reference, exact)
    assert precise == pytest.approx(math.log(10), rel=1e-12)
    compare_losses([float(own.metrics.loss[0, 0])], [loss], [precise])
    assert int(own.metrics.right[0, 0]) == 2


@pytest.mark.parametrize("model", ["Net", "Net1"])
def test_a_weight_that_is_no_number_makes_the_loss_what_it_is_with_torch(model: str) -> None:
    """Which minus infinity need not: ReLU makes 0 of it."""
    arm, split = settings(f"model.name={model}"), drawn_split(16)
    expected, own = steps_of(arm, split), own_steps(arm, split)
    (reference,), (network,) = expected.cohort.networks, own.cohort.networks
    ((pictures, labels),) = expected.batches.epoch(0)
    cutting = own.epoch_batches(0)
    batch = next(cutting)
    sound, finite = expected.cohort.state(0), 0
    for name, parameter in reference.named_parameters():
        for place, value in itertools.product((0, 1, parameter.numel() - 1), (math.nan, math.inf, -math.inf)):
            for steps in (expected, own):
                steps.cohort.load_state(0, sound)
                with torch.no_grad():
                    steps.cohort.networks[0].get_parameter(name).view(-1)[place] = value
            loss, _ = torch_gradients(reference, pictures[0], labels[0], 0.0)
            own.compute_gradients(batch, 0)
            found = float(own.metrics.loss[0, 0])
            assert math.isfinite(found) == math.isfinite(loss), f"{name}[{place}] = {value}: {found} for {loss}"
            finite += math.isfinite(loss)
    assert finite > 3
    assert network is not reference


def test_a_run_that_diverges_says_so_as_with_torch(lab: Any) -> None:
    told = {}
    for kernels in ("own", "torch"):
        job = lab.job(lab.settings("optimizer.lr=1e25", f"runtime.kernels={kernels}"), results=kernels)
        record = lab.make(job)
        assert record.environment.kernels == kernels
        told[kernels] = (record.status, record.reason, record.test, record.test_reason)
    assert told["own"] == told["torch"]
    assert told["own"][0] == "diverged"
