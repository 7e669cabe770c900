"""The gate of training together: a stacked member against its run alone, for every model, optimizer and schedule.

In lockstep, at learning rates of the lab: each step is made twice from the same state, alone and together. Running
free, at a small share of them: there differences of rounding do not grow, while at the lab's own two runs alone whose
images lie in memory in another order drift apart as far (`benchmarks/gate.py` measures both on real images).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import pytest
import torch
from torch import Tensor

from cifar_lab.config import Settings
from cifar_lab.config.io.load import settings_from
from cifar_lab.data.batches import CohortBatches
from cifar_lab.data.patches import patch_covariance
from cifar_lab.data.random_streams import NO_STREAMS
from cifar_lab.data.resident_split import Normalizer, ResidentSplit
from cifar_lab.models import MODELS
from cifar_lab.training.backends.eager import EagerBackend, train_step
from cifar_lab.training.build import build_cohort
from cifar_lab.training.device import prepare_execution

from .step_runs import ARMS, drawn

BATCH = 16
IMAGES = 5 * BATCH + 6


def arms(model: str, epochs: int, share: float = 1.0) -> list[Settings]:
    """All of `ARMS`, their learning rates cut to a share."""
    data = {"dataset": "synthetic", "batch_size": BATCH, "crop_padding": 2}
    given = {"data": data, "model": {"name": model}, "epochs": epochs, "runtime": {"device": "cpu"}}
    whole = [settings_from(given, overrides=arm) for arm in ARMS.values()]
    slower = [arm.optimizer.model_copy(update={"lr": arm.optimizer.lr * share}) for arm in whole]
    return [arm.model_copy(update={"optimizer": own}) for arm, own in zip(whole, slower, strict=True)]


def split() -> ResidentSplit:
    pixels, labels = drawn(IMAGES)
    normalizer = Normalizer.make("half", (0.5,) * 3, (0.25,) * 3, torch.device("cpu"))
    return ResidentSplit(pixels.numpy(), labels.numpy(), normalizer)


def steps_of(members: Sequence[Settings], seeds: Sequence[int], *, stacked: bool) -> EagerBackend:
    execution = prepare_execution(members[0].runtime, threads=1)
    batches = CohortBatches(split(), members[0].data, seeds, [member.data.flip for member in members])
    covariance = partial(patch_covariance, batches.split)
    cohort, _ = build_cohort(
        members, seeds, 10, batches.steps_per_epoch, execution, stacked=stacked, covariance=covariance
    )
    assert (cohort.stacked is not None) == stacked
    return EagerBackend(cohort, batches, members[0].loss.label_smoothing, execution, stochastic_forward=False)


def end_epoch(steps: EagerBackend, done: int) -> None:
    numbers = steps.metrics.numbers(done)
    steps.cohort.schedule.end_epoch(
        [{"train_loss": each.loss, "val_loss": None, "val_accuracy": None} for each in numbers]
    )


def losses(steps: EagerBackend, epochs: int) -> Iterator[Tensor]:
    """(K,) of each step, running free."""
    for epoch in range(epochs):
        steps.cohort.train_mode()
        for done in steps.epoch(epoch):
            yield steps.metrics.loss[done - 1].clone()
        end_epoch(steps, done)


@pytest.mark.parametrize(
    "model", [pytest.param(name, marks=pytest.mark.slow if name == "ResNet18" else ()) for name in MODELS]
)
def test_each_step_together_is_that_of_the_run_alone(model: str) -> None:
    epochs = 1 if model == "ResNet18" else 3
    members = arms(model, epochs)
    together = steps_of(members, range(len(members)), stacked=True)
    alone = [steps_of([member], [seed], stacked=False) for seed, member in enumerate(members)]
    whole, rounding = together.cohort.parameters, 1e-6
    for epoch in range(epochs):
        for steps in (together, *alone):
            steps.cohort.train_mode()
        rates = [steps.rates(epoch) for steps in (together, *alone)]
        for number, batches in enumerate(
            zip(*(steps.batches.epoch(epoch) for steps in (together, *alone)), strict=True)
        ):
            for k, steps in enumerate(alone):
                together.cohort.load_state(k, steps.cohort.state(0))
            before = whole.values.clone()
            found = []
            for steps, (images, labels), (lr, momentum) in zip((together, *alone), batches, rates, strict=True):
                at = None if momentum is None else momentum[number]
                given = (steps.cohort, images, labels, lr[number], at, 0.0, steps.execution, NO_STREAMS)
                found.append(train_step(*given)[0])
            torch.testing.assert_close(found[0], torch.cat(found[1:]), rtol=1e-4, atol=rounding)
            for k, steps in enumerate(alone):
                name = f"{list(ARMS)[k]}, epoch {epoch}, step {number}"
                expected = whole.from_layout(steps.cohort.parameters.values, steps.cohort.parameters.strides())
                moved, wanted = whole.values[k] - before[k], expected[0] - before[k]
                # Adam divides by the gradient's own size, so where that is rounding alone its step is too.
                assert float((moved - wanted).norm()) <= 5e-2 * float(wanted.norm()) + rounding, name
        loss = 2.0 if epoch < 1 else 3.0  # the plateau cuts after the second epoch
        for steps in (together, *alone):
            watched = {"train_loss": loss, "val_loss": None, "val_accuracy": None}
            steps.cohort.schedule.end_epoch([watched] * len(steps.cohort.networks))


@pytest.mark.slow
@pytest.mark.parametrize("model", [name for name in MODELS if name != "ResNet18"])
def test_running_free_a_member_follows_its_run_alone(model: str) -> None:
    """ResNet18's last layers see one pixel an image: there BatchNorm makes differences grow from the first steps on."""
    epochs = 8
    members = arms(model, epochs, share=0.03)
    together = torch.stack(list(losses(steps_of(members, range(len(members)), stacked=True), epochs)))
    for seed, member in enumerate(members):
        alone = torch.cat(list(losses(steps_of([member], [seed], stacked=False), epochs)))
        torch.testing.assert_close(together[:, seed], alone, rtol=1e-4, atol=0, msg=lambda m, k=seed: f"{k}: {m}")
