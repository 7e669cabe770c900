"""Steps read from tables at a counter against steps made one by one. On a GPU they are replays of a captured graph."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from cifar_lab.config import Settings
from cifar_lab.config.io.load import settings_from
from cifar_lab.data.batches import CohortBatches
from cifar_lab.data.resident_split import Normalizer, ResidentSplit
from cifar_lab.training.backends.cuda_graph import CudaGraphBackend, NotCapturedError
from cifar_lab.training.backends.eager import EagerBackend
from cifar_lab.training.build import build_cohort
from cifar_lab.training.cohort import Member
from cifar_lab.training.device import Execution, prepare_execution
from cifar_lab.training.loop import train

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))]
on_every_device = pytest.mark.parametrize("device", DEVICES)


class Deaf:
    """Hears of steps and epochs and does nothing."""

    def step(self, epoch: int, step: int, steps: int, loss: float, accuracy: float) -> None: ...

    def epoch(self, members: Sequence[Member]) -> None: ...


def settings(*overrides: str) -> Settings:
    data = {"dataset": "synthetic", "batch_size": 8, "flip": True, "crop_padding": 2}
    return settings_from({"data": data, "epochs": 3}, overrides=overrides)


ARMS = [
    settings("optimizer.lr=0.05", "scheduler.name=one_cycle"),
    settings("optimizer.lr=0.01", "scheduler.name=plateau", "scheduler.patience=0"),
    settings("optimizer.name=adam", "optimizer.lr=0.003", "scheduler.name=cosine", "data.flip=false"),
]


def eager(
    arms: Sequence[Settings], device: str, images: int = 165, stochastic_forward: bool = False, stacked: bool = False
) -> tuple[EagerBackend, Execution]:
    """165 images are 20 batches of 8 and one of 5."""
    execution = prepare_execution(settings(f"runtime.device={device}").runtime, threads=1)
    pixels = torch.randint(0, 256, (images, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    labels = torch.randint(10, (images,), generator=torch.Generator().manual_seed(2))
    normalizer = Normalizer.make("half", (0.5,) * 3, (0.25,) * 3, execution.device)
    split = ResidentSplit(pixels.numpy(), labels.numpy(), normalizer)
    batches = CohortBatches(split, arms[0].data, range(len(arms)), [arm.data.flip for arm in arms])
    cohort, _ = build_cohort(arms, batches.seeds, 10, batches.steps_per_epoch, execution, stacked=stacked)
    return EagerBackend(cohort, batches, 0.1, execution, stochastic_forward), execution


def state_of(steps: EagerBackend | CudaGraphBackend) -> list[Tensor]:
    found = [steps.cohort.parameters.values.clone()]
    for k in range(len(steps.cohort.networks)):
        state = steps.cohort.state(k)
        found += [tensor.clone() for tensor in [*state["networks"][0].values(), *state["optimizer"].values()]]
    return found


@on_every_device
@pytest.mark.parametrize("model", ["Net", "Net1"])
def test_epochs_read_from_tables_are_those_made_one_by_one(model: str, device: str) -> None:
    arms = [arm.model_copy(update={"model": settings(f"model.name={model}").model}) for arm in ARMS]
    histories, states = [], []
    for make in (lambda steps: steps, CudaGraphBackend):
        steps = make(eager(arms, device)[0])
        members = [Member() for _ in arms]
        train(steps, members, start_epoch=0, epochs=3, validate=None, callback=Deaf())
        histories.append([[line.model_dump(exclude={"seconds"}) for line in member.history] for member in members])
        states.append(state_of(steps))
    if device == "cpu":
        assert histories[0] == histories[1]
        assert all(torch.equal(*pair) for pair in zip(*states, strict=True))
    else:
        for pair in zip(*states, strict=True):
            torch.testing.assert_close(*pair, rtol=1e-3, atol=1e-4)
    assert histories[0][0][0]["train_loss"] != histories[0][0][2]["train_loss"]


@on_every_device
def test_capturing_leaves_the_cohort_as_it_was(device: str) -> None:
    steps, _ = eager([arm.model_copy(update={"model": settings("model.name=Net1").model}) for arm in ARMS], device)
    before = state_of(steps)
    captured = CudaGraphBackend(steps)
    assert all(torch.equal(*pair) for pair in zip(before, state_of(captured), strict=True))


def test_what_cannot_be_captured_is_said() -> None:
    def reason(steps: EagerBackend) -> str:
        with pytest.raises(NotCapturedError) as caught:
            CudaGraphBackend(steps)
        return str(caught.value)

    assert reason(eager(ARMS, "cpu", images=159)[0]) == "19 full batches per epoch are too few to be worth it"
    assert reason(eager(ARMS, "cpu", stochastic_forward=True)[0]) == "the model may draw random numbers in each step"
    noisy = [settings("data.noise_std=0.1")]
    assert reason(eager(noisy, "cpu")[0]) == "augmentation policies and noise are drawn per batch"
