"""Steps of our own kernels against torch's: the gate of using them, for every model, optimizer and schedule.

In lockstep each step is made twice from the same weights. Running free, at small learning rates: there differences of
rounding do not grow (see `test_cohort_steps`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch

from cifar_lab.config import Settings
from cifar_lab.training.backends.base import StepBackend

from ...step_runs import ARMS
from .small_runs import NETS, compare_gradients, drawn_split, own_steps, settings, steps_of, torch_gradients

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
        for step, (batch, (pictures, labels)) in enumerate(zip(own.epoch_batches(epoch), theirs, strict=True)):
            own.cohort.load_state(0, expected.cohort.state(0))
            exact = copy.deepcopy(reference).double()
            torch_gradients(exact, pictures[0].double(), labels[0], expected.label_smoothing)
            loss, right = torch_gradients(reference, pictures[0], labels[0], expected.label_smoothing)
            own.compute_gradients(batch, step)
            assert float(own.metrics.loss[step, 0]) == pytest.approx(loss, rel=1e-6)
            assert int(own.metrics.right[step, 0]) == right
            compare_gradients(network, reference, exact)
            buffers = dict(network.named_buffers())
            for name, value in reference.named_buffers():
                torch.testing.assert_close(buffers[name], value, rtol=1e-6, atol=1e-6)
            assert len(buffers) == (9 if arm.model.name == "Net1" else 0)
            expected.cohort.optimizer.step(torch.full((1, 1), LR))


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


def losses(steps: StepBackend, epochs: int) -> Iterator[float]:
    """Of each step, running free."""
    for epoch in range(epochs):
        for done in steps.epoch(epoch):
            yield float(steps.metrics.loss[done - 1, 0])
        (numbers,) = steps.metrics.numbers(done)
        watched = {"train_loss": numbers.loss, "val_loss": None, "val_accuracy": None}
        steps.cohort.schedule.end_epoch([watched])


FREE = [(model, arm) for arm in ARMS for model in NETS if model in ("Net", "Net1") or "plateau" in arm]
"""Net2 and Net3 have the layers of Net."""


@pytest.mark.parametrize(("model", "arm"), FREE)
def test_running_free_a_run_follows_torchs(model: str, arm: str) -> None:
    epochs, images = 20, 9 * 16 + 6  # 200 steps
    chosen = settings(f"model.name={model}", f"epochs={epochs}", "data.crop_padding=2", *ARMS[arm])
    slow = chosen.optimizer.model_copy(update={"lr": FREE_LR[arm]})
    chosen = chosen.model_copy(update={"optimizer": slow})
    split = drawn_split(images)
    torchs, own = steps_of(chosen, split), own_steps(chosen, split)
    start = torchs.cohort.parameters.values.clone()
    expected = list(losses(torchs, epochs))
    assert list(losses(own, epochs)) == pytest.approx(expected, rel=1e-4)
    assert len(expected) == 200
    moved = (torchs.cohort.parameters.values - start).norm()
    assert float((own.cohort.parameters.values - torchs.cohort.parameters.values).norm()) < 1e-2 * float(moved)
    assert float(moved) > 1e-4 * float(start.norm()), "nothing was learnt, so nothing was compared"
