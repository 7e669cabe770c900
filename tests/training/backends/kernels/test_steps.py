"""Steps of the kernels against torch's and against double precision, for every model, optimizer and schedule.

How far torch's float32 is from double precision depends on the processor. So double precision is the reference, with
bounds that hold on every processor, and torch's error beside it. In lockstep each step is made from the same weights.
Running free, an epoch begins from the same state: over many epochs a rounding that moves the maximum of a window or the
sign before a ReLU would grow, whichever kernels it happens in.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from cifar_lab import config
from cifar_lab.config import Settings
from cifar_lab.training.backends.base import StepBackend
from cifar_lab.training.backends.eager import EagerBackend

from ...step_runs import ARMS
from .small_runs import (
    NETS,
    compare_gradients,
    compare_losses,
    drawn_split,
    is_before_norm,
    own_steps,
    settings,
    steps_of,
    torch_gradients,
)

LR = 0.01

PICTURES = {
    "plain": [],
    "flips and crops": ["data.flip=true", "data.crop_padding=4"],
    "noise": ["data.noise_std=0.05", "data.flip=true"],
    "policy": ["data.policy=trivialaugment", "data.crop_padding=2"],
    "label smoothing": ["loss.label_smoothing=0.1", "data.normalize=none"],
}


def in_lockstep(arm: Settings, images: int, epochs: int = 2) -> None:
    """Make steps twice from the same state, and compare what they come to."""
    split = drawn_split(images)
    expected, own = steps_of(arm, split), own_steps(arm, split)
    (reference,), (network,) = expected.cohort.networks, own.cohort.networks
    for epoch in range(epochs):
        own.metrics = expected.new_metrics()
        theirs = expected.batches.epoch(epoch)
        losses: list[tuple[float, float, float]] = []
        for step, (batch, (pictures, labels)) in enumerate(zip(own.epoch_batches(epoch), theirs, strict=True)):
            own.cohort.load_state(0, expected.cohort.state(0))
            exact = copy.deepcopy(reference).double()
            precise, _ = torch_gradients(exact, pictures[0].double(), labels[0], expected.label_smoothing)
            loss, right = torch_gradients(reference, pictures[0], labels[0], expected.label_smoothing)
            own.compute_gradients(batch, step)
            losses.append((float(own.metrics.loss[step, 0]), loss, precise))
            assert int(own.metrics.right[step, 0]) == right
            compare_gradients(network, reference, exact)
            buffers = dict(network.named_buffers())
            for name, value in reference.named_buffers():
                torch.testing.assert_close(buffers[name], value, rtol=1e-6, atol=1e-6)
            assert len(buffers) == (9 if arm.model.name == "Net1" else 0)
            expected.cohort.optimizer.step(torch.full((1, 1), LR))
        compare_losses(*zip(*losses, strict=True))


@pytest.mark.parametrize("size", [2, 5, 16, 17, 40])
@pytest.mark.parametrize("model", NETS)
def test_each_step_is_torchs_with_a_last_smaller_batch(model: str, size: int) -> None:
    left = max(2, size // 2)  # BatchNorm cannot train on one image
    in_lockstep(settings(f"model.name={model}", f"data.batch_size={size}"), 2 * size + left)


def test_a_batch_of_one_image_is_torchs() -> None:
    in_lockstep(settings("data.batch_size=16"), 33)
    in_lockstep(settings("data.batch_size=1"), 3)


@pytest.mark.parametrize("pictures", PICTURES)
@pytest.mark.parametrize("model", ["Net", "Net1"])
def test_each_step_is_torchs_however_images_are_changed(model: str, pictures: str) -> None:
    in_lockstep(settings(f"model.name={model}", *PICTURES[pictures]), 2 * 16 + 6)


FREE_LR = {
    "sgd, none": 0.0002, "nesterov, step": 0.0002, "sgd, plateau": 0.00005, "adam, one_cycle": 0.00001,
    "adam, none": 0.00001, "adamw, cosine": 0.00001,
}  # fmt: skip
"""Of each arm running free."""

FREE_TOLERANCE = 1e-5
"""Relative distance of a loss from double precision, after at most ten steps of free running."""


FREE = [(model, arm) for arm in ARMS for model in NETS if model in ("Net", "Net1") or "plateau" in arm]
"""Net2 and Net3 have the layers of Net."""


class Exact:
    """The run in double precision, by torch's own optimizers."""

    def __init__(self, steps: EagerBackend, arm: Settings) -> None:
        self.steps, self.betas = steps, getattr(arm.optimizer, "betas", (0.0, 0.0))
        self.network = copy.deepcopy(steps.cohort.networks[0]).double()
        self.optimizer = torch_optimizer(arm.optimizer, self.network)

    def copy_state(self) -> None:
        """Take over weights, statistics and the optimizer's state."""
        cohort = self.steps.cohort
        self.network.load_state_dict(cohort.networks[0].state_dict())
        state, parameters = cohort.optimizer.state(0), dict(self.network.named_parameters())
        for span in cohort.parameters.spans:
            parameter = parameters[span.name]
            for name, row in state.items():
                own = row[0] if name == "step" else row[0, span.offset : span.offset + parameter.numel()].double()
                self.optimizer.state[parameter][name] = own.clone().view(() if name == "step" else span.shape)

    def epoch(self, epoch: int) -> Iterator[float]:
        """Loss of each step."""
        lr, momentum = self.steps.rates(epoch)
        for step, (pictures, labels) in enumerate(self.steps.batches.epoch(epoch)):
            (group,) = self.optimizer.param_groups
            group["lr"] = float(lr[step])
            if momentum is not None:
                group["betas"] = (float(momentum[step]), self.betas[1])
            loss, _ = torch_gradients(self.network, pictures[0].double(), labels[0], self.steps.label_smoothing)
            self.optimizer.step()
            yield loss


def torch_optimizer(given: config.Optimizer, network: nn.Module) -> torch.optim.Optimizer:
    if isinstance(given, config.SGD):
        return torch.optim.SGD(
            network.parameters(), given.lr, given.momentum, weight_decay=given.weight_decay, nesterov=given.nesterov
        )
    kind = torch.optim.Adam if given.name == "adam" else torch.optim.AdamW
    return kind(network.parameters(), given.lr, given.betas, given.eps, given.weight_decay)


def weights_of(steps: StepBackend) -> Tensor:
    """Copy of all parameters but those that rounding alone moves, by as much as Adam moves any."""
    (network,) = steps.cohort.networks
    kept = [each for name, each in network.named_parameters() if not is_before_norm(network, name)]
    return torch.cat([parameter.detach().flatten() for parameter in kept])


@pytest.mark.slow
@pytest.mark.parametrize(("model", "arm"), FREE)
def test_running_free_each_epoch_follows_double_precision(model: str, arm: str) -> None:
    epochs, images = 20, 9 * 16 + 6  # 200 steps
    chosen = settings(f"model.name={model}", f"epochs={epochs}", "data.crop_padding=2", *ARMS[arm])
    slow = chosen.optimizer.model_copy(update={"lr": FREE_LR[arm]})
    chosen = chosen.model_copy(update={"optimizer": slow})
    split = drawn_split(images)
    torchs, own = steps_of(chosen, split), own_steps(chosen, split)
    exact = Exact(torchs, chosen)
    start = weights_of(torchs)
    for epoch in range(epochs):
        own.cohort.load_state(0, torchs.cohort.state(0))
        exact.copy_state()
        before = weights_of(torchs)
        expected = list(exact.epoch(epoch))
        for steps in (torchs, own):
            assert list(steps.epoch(epoch)) == list(range(1, 11))
        assert own.metrics.loss[:, 0].tolist() == pytest.approx(expected, rel=FREE_TOLERANCE)
        after = weights_of(torchs)
        assert float((weights_of(own) - after).norm()) < 1e-2 * float((after - before).norm())
        (numbers,) = torchs.metrics.numbers(10)
        torchs.cohort.schedule.end_epoch([{"train_loss": numbers.loss, "val_loss": None, "val_accuracy": None}])
    moved = (weights_of(torchs) - start).norm()
    assert float(moved) > 1e-4 * float(start.norm()), "nothing was learnt, so nothing was compared"
