"""Steps of our own kernels against torch's: the gate of using them, for every model, optimizer and schedule.

In lockstep each step is made twice from the same weights. Running free, at small learning rates: there differences of
rounding do not grow (see `test_cohort_steps`).
"""

from __future__ import annotations

import pytest
import torch

from cifar_lab.config import Settings
from cifar_lab.kernels.steps import KernelSteps
from cifar_lab.train import EagerSteps

from .small_runs import NETS, compare_gradients, drawn_split, own_steps, settings, steps_of, torch_gradients

LR = 0.01

PICTURES = {
    "plain": [],
    "flips and crops": ["data.flip=true", "data.crop_padding=4"],
    "noise": ["data.noise_std=0.05", "data.flip=true"],
    "policy": ["data.policy=trivialaugment_wide", "data.crop_padding=2"],
    "label smoothing": ["loss.label_smoothing=0.1", "data.normalize=none"],
}


def in_lockstep(arm: Settings, images: int, epochs: int = 2) -> None:
    """Make steps twice from the same state, and compare what they come to."""
    split = drawn_split(images)
    expected, own = steps_of(arm, split), own_steps(arm, split)
    for epoch in range(epochs):
        own.ledger = expected.new_ledger()
        theirs = expected.batches.epoch(epoch)
        for step, (batch, (pictures, labels)) in enumerate(zip(own.cut(epoch), theirs, strict=True)):
            own.cohort.load_state(0, expected.cohort.state(0))
            loss, right = torch_gradients(expected, pictures, labels)
            own.make(batch, step)
            assert float(own.ledger.loss[step, 0]) == pytest.approx(loss, rel=1e-6)
            assert int(own.ledger.right[step, 0]) == right
            compare_gradients(own, expected, rounding=1e-5)
            buffers = dict(own.cohort.networks[0].named_buffers())
            for name, value in expected.cohort.networks[0].named_buffers():
                torch.testing.assert_close(buffers[name], value, rtol=1e-6, atol=1e-6)
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
