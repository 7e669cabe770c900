"""Net1 in the block kernel against torch: statistics of whole batches, with several parts, and their way to evaluation.

Biases before a BatchNorm have no effect. Their gradients are 0 here and rounding in torch, which Adam turns into steps.
So these biases are not compared, and with Adam neither are the running means that they move.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cifar_lab.config import Settings
from cifar_lab.models.nets import Net1
from cifar_lab.training.backends.block.conditions import LARGEST_BATCH_OF_NET1
from cifar_lab.training.backends.block.member_state import columns_of
from cifar_lab.training.backends.block.rows import NORM_LAYERS
from cifar_lab.training.backends.block.running_statistics import EPS, MOMENTUM
from cifar_lab.training.backends.block.shapes import NET1
from cifar_lab.training.backends.block.source import FOLDER
from cifar_lab.training.backends.eager import EagerBackend

from ...step_runs import ARMS
from .block_runs import LATE_ARMS, arms, assert_almost_all_close, block, eager, gradient_pairs, plain_arm, state_of
from .host_kernel import HostKernel
from .kernels import kernel_for, on_every_device

NO_EFFECT = tuple(f"{layer}.bias" for layer in NORM_LAYERS.values())
SLOW = pytest.mark.slow


def net1(*overrides: str, names: tuple[str, ...], device: str = "cpu") -> list[Settings]:
    return arms("model.name=Net1", *overrides, names=names, device=device)


def moved_norms(*cohorts: EagerBackend) -> None:
    """Give weights and biases of BatchNorm other numbers than 1 and 0, negative ones among them."""
    for steps in cohorts:
        generator = torch.Generator().manual_seed(7)
        for network in steps.cohort.networks:
            for name, parameter in network.named_parameters():
                if name.startswith("bn"):
                    noise = torch.randn(parameter.shape, generator=generator)
                    parameter.data.add_(0.7 * noise.to(parameter.device))


def statistics_of(steps: EagerBackend) -> list[dict[str, Tensor]]:
    return [{name: each.cpu() for name, each in network.named_buffers()} for network in steps.cohort.networks]


@pytest.mark.parametrize("batch", [13, 150, *(pytest.param(size, marks=SLOW) for size in (4, 5, 16, 27, 64, 100))])
@on_every_device
def test_gradients_and_statistics_are_those_of_double_precision(batch: int, device: str) -> None:
    """torch's fp32 differs as much, most with few images: by 1e-5 of the largest gradient with 4 of them."""
    arm = plain_arm("Net1", batch, device)
    exact, own = eager([arm], batch), eager([arm], batch)
    moved_norms(exact, own)
    network, pairs = gradient_pairs(arm, exact, own, kernel_for(device, NET1))
    for name, mine, theirs in pairs:
        atol = 2e-5 * float(theirs.abs().max()) + 1e-7
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=atol, msg=name)
    (found,) = statistics_of(own)
    for name, buffer in network.named_buffers():
        torch.testing.assert_close(found[name].double(), buffer.double(), rtol=2e-6, atol=2e-7, msg=name)


@pytest.mark.parametrize(
    ("batch", "images", "names"),
    [
        (13, 36, tuple(ARMS)),
        (100, 150, tuple(LATE_ARMS)),
        *(pytest.param(*each, tuple(ARMS), marks=SLOW) for each in ((8, 24), (27, 50), (64, 128), (130, 300))),
        *(pytest.param(*each, tuple(LATE_ARMS), marks=SLOW) for each in ((13, 36), (128, 256))),
    ],
)
@on_every_device
def test_epochs_are_those_of_torch(batch: int, images: int, names: tuple[str, ...], device: str) -> None:
    """With every optimizer, Muon, clipped gradients, groups, schedules, label smoothing, flips and crops.

    BatchNorm carries a moved decision into the gradients of all images.
    """
    overrides = f"data.batch_size={batch}", "data.crop_padding=3", "data.normalize=channel", "loss.label_smoothing=0.1"
    some = net1(*overrides, names=names, device=device)
    torchs, own = eager(some, images), eager(some, images)
    steps = block(own, kernel_for(device, NET1), some)
    for epoch in range(2):
        list(steps.epoch(epoch))
        list(torchs.epoch(epoch))
        assert torch.equal(steps.metrics.right, torchs.metrics.right)
        torch.testing.assert_close(steps.metrics.loss, torchs.metrics.loss, rtol=1e-5, atol=1e-6)
    no_effect = columns_of(own.cohort.parameters, NO_EFFECT).cpu()
    for mine, theirs in zip(state_of(own), state_of(torchs), strict=True):
        if mine.shape[-1] == len(no_effect):
            mine, theirs = (each.masked_fill(no_effect, 0.0) for each in (mine, theirs))
        assert_almost_all_close(mine, theirs, share=0.1)
    for name, mine, theirs in zip(names, statistics_of(own), statistics_of(torchs), strict=True):
        for key, buffer in theirs.items():
            if not ("adam" in name and key.endswith("running_mean")):
                torch.testing.assert_close(mine[key], buffer, rtol=1e-4, atol=1e-5, msg=f"{name}: {key}")


def test_order_of_threads_in_a_phase_has_no_effect() -> None:
    some = net1("data.batch_size=70", "data.crop_padding=2", names=("sgd, plateau", "muon, groups"))
    states = []
    for seed in (0, 1, 12345):
        own = eager(some, 140)
        steps = block(own, HostKernel(NET1, 10, seed), some)
        list(steps.epoch(0))
        logits = steps.predict(own.batches.split)
        assert logits is not None
        buffers = [buffer for each in statistics_of(own) for buffer in each.values()]
        states.append([*state_of(own), *buffers, steps.metrics.loss, logits])
    for other in states[1:]:
        assert all(torch.equal(*pair) for pair in zip(states[0], other, strict=True))


@on_every_device
def test_logits_are_those_of_the_running_statistics(device: str) -> None:
    some = net1("data.batch_size=24", names=("sgd, none", "adam, none"), device=device)
    own = eager(some, 141)
    moved_norms(own)
    steps = block(own, kernel_for(device, NET1), some)
    list(steps.epoch(0))
    logits = steps.predict(own.batches.split)
    assert logits is not None
    own.cohort.evaluation_mode()
    images, _ = own.batches.split.normalized(0, 141)
    for network, mine in zip(own.cohort.networks, logits, strict=True):
        with torch.no_grad():
            torch.testing.assert_close(mine, network(images), rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("first", ["block", "torch"])
def test_a_checkpoint_goes_on_with_either_backend(first: str) -> None:
    """Also with networks that are not stacked. The statistics are part of it."""
    some = net1("data.batch_size=20", names=("nesterov, step", "muon"))
    kernel = HostKernel(NET1, 10)
    begun, through = eager(some, 60), eager(some, 60)
    list((block(begun, kernel, some) if first == "block" else begun).epoch(0))
    for epoch in range(2):
        list(through.epoch(epoch))
    states = [begun.cohort.state(k) for k in range(2)]
    for k in range(2):
        (alone,) = (eager(some[k : k + 1], 60, seeds=[k]),)
        alone.cohort.load_state(0, states[k])
        (network,) = alone.cohort.networks
        assert isinstance(network, Net1)
        assert int(network.bn1.num_batches_tracked) == 3
        steps = alone if first == "block" else block(alone, kernel, some[k : k + 1])
        list(steps.epoch(1))
        (buffers,) = statistics_of(alone)
        expected = statistics_of(through)[k]
        assert all(torch.equal(buffers[name], each) for name, each in expected.items() if "tracked" in name)
        for name, each in buffers.items():
            torch.testing.assert_close(each, expected[name], rtol=1e-4, atol=1e-5, msg=name)
        no_effect = columns_of(alone.cohort.parameters, NO_EFFECT)
        mine, theirs = alone.cohort.parameters.values[0], through.cohort.parameters.values[k]
        assert_almost_all_close(mine.detach()[~no_effect], theirs.detach()[~no_effect], share=0.1)


def test_a_resumed_member_has_the_bits_of_one_in_a_larger_cohort() -> None:
    names = ("adam, one_cycle", "sgd, none")
    some, kernel = net1("data.batch_size=70", names=names), HostKernel(NET1, 10)
    through, first = eager(some, 90), eager(some, 90)
    both = block(through, kernel, some)
    for epoch in range(2):
        list(both.epoch(epoch))
    list(block(first, kernel, some).epoch(0))
    alone = eager(some[1:], 90, seeds=[1])
    alone.cohort.load_state(0, first.cohort.state(1))
    list(block(alone, kernel, some[1:]).epoch(1))
    mine, theirs = alone.cohort.state(0)["networks"][0], through.cohort.state(1)["networks"][0]
    assert all(torch.equal(mine[name], each) for name, each in theirs.items())


@pytest.mark.parametrize(("batch", "images"), [(1, 4), (20, 41)])
def test_a_batch_of_one_image_is_left_to_torch(batch: int, images: int) -> None:
    some = net1(f"data.batch_size={batch}", names=("sgd, none",))
    with pytest.raises(ValueError, match=r"^a batch of one image with BatchNorm$"):
        block(eager(some, images), HostKernel(NET1, 10), some)


def test_another_batch_norm_is_left_to_torch() -> None:
    some = net1("data.batch_size=20", names=("sgd, none",))
    steps = eager(some, 40)
    (network,) = steps.cohort.networks
    assert isinstance(network, Net1)
    network.bn2.momentum = 0.2
    with pytest.raises(ValueError, match=r"^BatchNorm of another kind$"):
        block(steps, HostKernel(NET1, 10), some)


def test_its_constants_are_those_of_the_networks() -> None:
    layers = [each for each in Net1().modules() if isinstance(each, (nn.BatchNorm1d, nn.BatchNorm2d))]
    assert {(layer.momentum, layer.eps) for layer in layers} == {(MOMENTUM, EPS)}
    text = (FOLDER / "batch_norm.cuh").read_text()
    assert f"NORM_MOMENTUM = {MOMENTUM}f;" in text
    assert float(text.partition("VARIANCE_EPS = ")[2].partition(";")[0]) == EPS


def test_scratch_memory_grows_with_the_batch() -> None:
    assert NET1.bytes_for(1) == NET1.bytes_for(64) == NET1.scratch_bytes + NET1.part_bytes
    assert NET1.bytes_for(65) == NET1.scratch_bytes + 2 * NET1.part_bytes
    assert 132 * NET1.bytes_for(LARGEST_BATCH_OF_NET1) < 6e9
