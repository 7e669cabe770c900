"""The block kernel against torch: losses, weights and optimizer state of whole epochs, with odd batches.

As C++ everywhere, and on a GPU where there is one that can run it.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cifar_lab.config import Settings
from cifar_lab.training.backends.block import backend
from cifar_lab.training.backends.block.backend import BlockKernel
from cifar_lab.training.backends.block.shapes import NET, NET3, Shape
from cifar_lab.training.backends.eager import EagerBackend
from cifar_lab.training.optim.muon import CohortMuon

from ...optim.test_muon import plain
from .block_runs import LATE_ARMS, arms, assert_almost_all_close, block, eager, gradient_pairs, plain_arm, state_of
from .host_kernel import HostKernel
from .kernels import kernel_for, needs_gpu, of_every_width, on_every_device

SLOW = pytest.mark.slow
FIRST_SEED = {"Net": 0, "Net3": 1}
"""Of members whose roundings keep to the same side of each ReLU for two epochs. Seed 0 of Net3 does not."""

# (batch size, images): parts of 8, 16, 32 and 64, an odd size, a last batch of one image, and batches of two parts
BATCHES = [(8, 25), (13, 27), (27, 28), (64, 65), (100, 104)]


@pytest.mark.parametrize("batch", [5, 16, 27, 64, 100])
@of_every_width
@on_every_device
def test_gradients_are_those_of_double_precision(batch: int, device: str, model: str, shape: Shape) -> None:
    arm = plain_arm(model, batch, device)
    _, pairs = gradient_pairs(arm, eager([arm], batch), eager([arm], batch), kernel_for(device, shape))
    atol = 2e-6 if shape.batch_norm else 2e-7
    for name, mine, theirs in pairs:
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=atol, msg=name)


@pytest.mark.parametrize(
    ("model", "shape", "batch", "images"),
    [
        *(("Net", NET, *each) for each in BATCHES),
        *(pytest.param("Net3", NET3, *each, marks=SLOW) for each in BATCHES[1::2]),
    ],
)
@on_every_device
def test_epochs_are_those_of_torch(model: str, shape: Shape, batch: int, images: int, device: str) -> None:
    """With every optimizer, label smoothing, weight decay and schedules of rates and momenta, flips and crops."""
    some = arms(
        f"model.name={model}",
        f"data.batch_size={batch}",
        "data.crop_padding=3",
        "data.normalize=channel",
        "loss.label_smoothing=0.1",
        device=device,
    )
    check_epochs(some, images, kernel_for(device, shape), FIRST_SEED[model])


@pytest.mark.parametrize(("batch", "images", "padding"), [(13, 27, 16), (100, 104, 2)])
@on_every_device
def test_updates_of_whole_gradients_are_those_of_torch(batch: int, images: int, padding: int, device: str) -> None:
    """Muon, clipped gradients and groups of parameters, with reflected crops and alternating flips."""
    overrides = f"data.batch_size={batch}", f"data.crop_padding={padding}", "data.crop_padding_mode=reflect"
    check_epochs(arms(*overrides, device=device, names=tuple(LATE_ARMS)), images, kernel_for(device))


def check_epochs(some: list[Settings], images: int, kernel: BlockKernel, first_seed: int = 0) -> None:
    """Two epochs of torch and of the kernel have the same hits, losses, weights and optimizer state."""
    seeds = [first_seed + k for k in range(len(some))]
    torchs, own = eager(some, images, seeds), eager(some, images, seeds)
    steps = block(own, kernel, some)
    for epoch in range(2):
        assert list(steps.epoch(epoch))[-1] == len(torchs.metrics.batch_sizes)
        list(torchs.epoch(epoch))
        assert torch.equal(steps.metrics.right, torchs.metrics.right)
        torch.testing.assert_close(steps.metrics.loss, torchs.metrics.loss, rtol=1e-5, atol=1e-6)
    for mine, theirs in zip(state_of(own), state_of(torchs), strict=True):
        assert_almost_all_close(mine, theirs)


@pytest.mark.parametrize("iterations", [1, 4, 5])
def test_ten_steps_are_those_of_the_iterations_as_written(iterations: int) -> None:
    """Those have no products of Gram matrices and no symmetry. The kernel begins anew after three iterations."""
    some = arms("data.batch_size=4", f"optimizer.ns_steps={iterations}", names=("muon",))
    torchs, own = eager(some, 40), eager(some, 40)
    assert isinstance(torchs.cohort.optimizer, CohortMuon)
    torchs.cohort.optimizer.orthogonalise = plain
    list(torchs.epoch(0))
    list(block(own, HostKernel(NET, 10), some).epoch(0))
    for mine, theirs in zip(state_of(own), state_of(torchs), strict=True):
        assert_almost_all_close(mine, theirs)


def test_a_factor_of_0_keeps_the_weights() -> None:
    group = "optimizer.groups=[{match: fc1, lr_factor: 0}]"
    some = arms("data.batch_size=8", group, names=("muon", "adamw, cosine", "sgd, none"))
    steps = eager(some, 20)
    before = spans_of(steps)
    list(block(steps, HostKernel(NET, 10), some).epoch(0))
    kept = {name: torch.equal(before[name], now) for name, now in spans_of(steps).items()}
    assert kept == {name: name.startswith("fc1") for name in before}


def spans_of(steps: EagerBackend) -> dict[str, Tensor]:
    """Copy of each parameter of all members."""
    return {name: each.values.detach().clone() for name, each in steps.cohort.parameters.stacked_parameters().items()}


@pytest.mark.parametrize(
    ("model", "shape", "batch"),
    [("Net", NET, 20), pytest.param("Net3", NET3, 20, marks=SLOW), pytest.param("Net3", NET3, 40, marks=SLOW)],
)
def test_order_of_threads_in_a_phase_has_no_effect(model: str, shape: Shape, batch: int) -> None:
    """A missing barrier would let a thread read what another has, or has not, written."""
    names = ("sgd, plateau", "adamw, cosine", "muon, groups" if shape == NET else "adam, groups")
    some = arms(f"model.name={model}", f"data.batch_size={batch}", "data.crop_padding=2", names=names)
    states = []
    for seed in (0, 1, 12345):
        steps = block(eager(some, 50), HostKernel(shape, 10, seed), some)
        list(steps.epoch(0))
        logits = steps.predict(steps._eager.batches.split)
        assert logits is not None
        states.append([*state_of(steps), steps.metrics.loss, logits])
    for other in states[1:]:
        assert all(torch.equal(*pair) for pair in zip(states[0], other, strict=True))


@of_every_width
@on_every_device
def test_a_member_has_the_same_bits_in_any_cohort(device: str, model: str, shape: Shape) -> None:
    names = ("sgd, none", "adam, none", "muon" if shape != NET3 else "sgd, layers", "adam, groups")
    overrides = f"model.name={model}", "data.batch_size=70"
    several = eager(arms(*overrides, names=names, device=device), 90, seeds=[3] * len(names))
    list(block(several, kernel_for(device, shape), arms(*overrides, names=names, device=device)).epoch(0))
    for number in range(len(names)):
        own_arm = arms(*overrides, names=names[number : number + 1], device=device)
        alone = eager(own_arm, 90, seeds=[3])
        list(block(alone, kernel_for(device, shape), own_arm).epoch(0))
        assert torch.equal(alone.cohort.parameters.values[0], several.cohort.parameters.values[number])


@on_every_device
def test_a_resumed_cohort_has_the_bits_of_one_that_went_through(device: str) -> None:
    names = ("adam, one_cycle", "muon", "sgd, none", "muon, adamw")
    some = arms("data.batch_size=16", names=names, device=device)
    through, first, resumed = (block(eager(some, 40), kernel_for(device), some) for _ in range(3))
    for epoch in range(2):
        list(through.epoch(epoch))
    list(first.epoch(0))
    for k in range(len(names)):
        resumed.cohort.load_state(k, first.cohort.state(k))
    list(resumed.epoch(1))
    assert all(torch.equal(*pair) for pair in zip(state_of(through), state_of(resumed), strict=True))


@on_every_device
def test_an_epoch_in_several_launches_has_the_same_bits(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    some = arms("data.batch_size=4", names=("adamw, cosine", "muon, adamw"), device=device)
    at_once, cut = (block(eager(some, 40), kernel_for(device), some) for _ in range(2))
    assert list(at_once.epoch(0)) == [10]
    monkeypatch.setattr(backend, "LAUNCH_IMAGES", 10)
    monkeypatch.setattr(backend, "LAUNCH_SEGMENTS", 3)
    assert list(cut.epoch(0))[-1] == 10
    assert len(list(cut.epoch(1))) > 2
    list(at_once.epoch(1))
    assert all(torch.equal(*pair) for pair in zip(state_of(at_once), state_of(cut), strict=True))
    assert torch.equal(at_once.metrics.loss, cut.metrics.loss)


@pytest.mark.parametrize("name", ["sgd, none", "muon, groups"])
@on_every_device
def test_a_network_that_diverged_leaves_the_next_one_alone(device: str, name: str) -> None:
    """Both use the same memory, and the second has parts without a full number of images."""
    some = arms("data.batch_size=12", names=(name, name), device=device)
    bad, good = eager(some, 30), eager(some, 30)
    for steps in (bad, good):
        list(block(steps, kernel_for(device), some).epoch(0))
    bad.cohort.parameters.values.data[0].fill_(float("nan"))
    for steps in (bad, good):
        own = block(steps, kernel_for(device), some)
        list(own.epoch(1))
        steps.metrics = own.metrics
    assert torch.isnan(bad.metrics.loss[:, 0]).all()
    assert torch.equal(bad.cohort.parameters.values[1], good.cohort.parameters.values[1])


@of_every_width
@on_every_device
def test_logits_are_those_of_torch(device: str, model: str, shape: Shape) -> None:
    some = arms(f"model.name={model}", names=("sgd, none", "adam, none"), device=device)
    steps = eager(some, 141)
    split = steps.batches.split
    logits = block(steps, kernel_for(device, shape), some).predict(split)
    assert logits is not None
    assert steps.cohort.stacked is not None
    steps.cohort.evaluation_mode()
    images, _ = split.normalized(0, len(split))
    with torch.no_grad():
        theirs = steps.cohort.stacked(images.expand(2, *images.shape))
    torch.testing.assert_close(logits.cpu(), theirs.cpu(), rtol=1e-5, atol=1e-6)


def test_images_in_another_layout_are_left_to_torch() -> None:
    some = arms(names=("sgd, none",))
    steps = eager(some, 10)
    steps.batches.split.memory_format = torch.channels_last
    assert block(steps, HostKernel(NET, 10), some).predict(steps.batches.split) is None


@needs_gpu
@pytest.mark.parametrize("batch", [8, 64, 100])
def test_networks_that_move_between_blocks_have_the_bits_of_few(batch: int) -> None:
    """More networks than multiprocessors, of which each begins where its seed says, again and again."""
    blocks = kernel_for("cuda").blocks
    kinds = 2
    some = arms(f"data.batch_size={batch}", names=("muon", "adamw, cosine"), device="cuda")
    few = eager(some, 25 * batch, seeds=[5, 6])
    list(block(few, kernel_for("cuda"), some).epoch(0))
    for members in (40, blocks, 2 * blocks + 56):
        arms_of_many = [some[k * kinds // members] for k in range(members)]
        seeds = [5 + k * kinds // members for k in range(members)]
        many = eager(arms_of_many, 25 * batch, seeds=seeds)
        list(block(many, kernel_for("cuda"), arms_of_many).epoch(0))
        expected = few.cohort.parameters.values[[k * kinds // members for k in range(members)]]
        assert torch.equal(many.cohort.parameters.values, expected), members


@needs_gpu
def test_cohorts_on_several_streams_have_the_bits_of_one_after_the_other() -> None:
    batches = (8, 64, 100)
    cohorts = [[arms(f"data.batch_size={batch}", device="cuda") for batch in batches] for _ in range(2)]
    steps = [[eager(some, 500) for some in row] for row in cohorts]
    for some, each in zip(cohorts[0], steps[0], strict=True):
        list(block(each, kernel_for("cuda"), some).epoch(0))
    streams = [torch.cuda.Stream() for _ in batches]
    torch.cuda.synchronize()
    for some, each, stream in zip(cohorts[1], steps[1], streams, strict=True):
        with torch.cuda.stream(stream):
            list(block(each, kernel_for("cuda"), some).epoch(0))
    torch.cuda.synchronize()
    for one, other in zip(*steps, strict=True):
        assert torch.equal(one.cohort.parameters.values, other.cohort.parameters.values)
