"""The training loop against a plain one, cohorts against solo runs, and runs that diverge."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cifar_lab import models
from cifar_lab.config import Settings
from cifar_lab.config.io.load import settings_from
from cifar_lab.data.batches import CohortBatches
from cifar_lab.data.random_streams import seeded_init
from cifar_lab.data.resident_split import Normalizer, ResidentSplit
from cifar_lab.store.records import SplitScore
from cifar_lab.training.backends.eager import EagerBackend
from cifar_lab.training.build import build_cohort
from cifar_lab.training.cohort import Cohort, Member
from cifar_lab.training.device import Execution, prepare_execution
from cifar_lab.training.evaluate import EVALUATION_BATCH_SIZE, predict, score
from cifar_lab.training.loop import train, train_epoch

EPOCHS = 20
BATCH = 16
IMAGES = 150  # 10 steps an epoch, the last of 6 images: 200 steps in all


class Deaf:
    """Hears of steps and epochs and does nothing."""

    def step(self, epoch: int, step: int, steps: int, loss: float, accuracy: float) -> None: ...

    def epoch(self, members: Sequence[Member]) -> None: ...


@pytest.fixture
def execution() -> Execution:
    return prepare_execution(settings().runtime, threads=1)


def settings(*overrides: str) -> Settings:
    data = {"dataset": "synthetic", "batch_size": BATCH}
    return settings_from({"data": data, "epochs": EPOCHS, "runtime": {"device": "cpu"}}, overrides=overrides)


def images(count: int = IMAGES, seed: int = 0) -> ResidentSplit:
    """Ten classes that differ in brightness and colour, with noise on top: learnt in part, never wholly."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(10, (count,), generator=generator)
    colours = torch.randint(40, 216, (10, 3, 1, 1), generator=torch.Generator().manual_seed(99))
    noise = torch.randint(-40, 41, (count, 3, 32, 32), generator=generator)
    pixels = (colours[labels] + noise).clamp(0, 255).to(torch.uint8)
    normalizer = Normalizer.make("half", (0.5,) * 3, (0.25,) * 3, torch.device("cpu"), torch.channels_last)
    return ResidentSplit(pixels.numpy(), labels.numpy(), normalizer)


@dataclass
class Trained:
    """A cohort that has been trained."""

    cohort: Cohort
    members: list[Member]
    val: list[SplitScore | None] = field(default_factory=list)


def trained(
    arms: Sequence[Settings],
    seeds: Sequence[int],
    execution: Execution,
    *,
    split: ResidentSplit | None = None,
    validate: Callable[[Cohort], Sequence[SplitScore | None]] | None = None,
    prepare: Callable[[Cohort], None] = lambda cohort: None,
) -> Trained:
    """Train a cohort of these arms and seeds side by side."""
    first = arms[0]
    batches = CohortBatches(split or images(), first.data, seeds)
    cohort, _ = build_cohort(arms, seeds, 10, batches.steps_per_epoch, execution)
    prepare(cohort)
    members = [Member() for _ in arms]
    train(
        EagerBackend(cohort, batches, first.loss.label_smoothing, execution), members,
        start_epoch=0, epochs=first.epochs,
        validate=None if validate is None else lambda: validate(cohort), callback=Deaf(),
    )  # fmt: skip
    return Trained(cohort, members)


# --- against a plain loop -------------------------------------------------------------------------------------------


def torch_optimizer(arm: Settings, parameters: Iterator[nn.Parameter]) -> torch.optim.Optimizer:
    own = arm.optimizer
    if own.name == "sgd":
        return torch.optim.SGD(
            parameters, own.lr, momentum=own.momentum, weight_decay=own.weight_decay, nesterov=own.nesterov
        )
    kind = torch.optim.Adam if own.name == "adam" else torch.optim.AdamW
    return kind(parameters, own.lr, betas=own.betas, eps=own.eps, weight_decay=own.weight_decay)


class TorchSchedule:
    """torch's own scheduler for an arm, stepped where its documentation says."""

    def __init__(self, arm: Settings, optimizer: torch.optim.Optimizer, steps: int) -> None:
        s, lr = torch.optim.lr_scheduler, arm.scheduler
        self.each_step: Any = None
        self.each_epoch: Any = None
        self.plateau: Any = None
        if lr.name == "one_cycle":
            self.each_step = s.OneCycleLR(
                optimizer, lr.max_lr or arm.optimizer.lr, total_steps=steps, pct_start=lr.pct_start,
                div_factor=lr.div_factor, final_div_factor=lr.final_div_factor,
                base_momentum=lr.base_momentum, max_momentum=lr.max_momentum,
            )  # fmt: skip
        elif lr.name == "cosine":
            self.each_step = s.CosineAnnealingLR(optimizer, steps, lr.min_lr)
        elif lr.name == "step":
            self.each_epoch = s.StepLR(optimizer, lr.step_epochs, lr.gamma)
        elif lr.name == "plateau":
            self.plateau = s.ReduceLROnPlateau(
                optimizer, factor=lr.factor, patience=lr.patience, threshold=lr.threshold, cooldown=lr.cooldown
            )

    def step_done(self) -> None:
        if self.each_step is not None:
            self.each_step.step()

    def epoch_done(self, loss: float) -> None:
        if self.each_epoch is not None:
            self.each_epoch.step()
        if self.plateau is not None:
            self.plateau.step(loss)


def plain_losses(arm: Settings, seed: int, split: ResidentSplit) -> tuple[list[float], list[float]]:
    """(loss of each step, learning rate of each step) of the loop that any tutorial shows, on the same batches."""
    with seeded_init(seed):
        network = models.build(arm.model, 10).to(memory_format=torch.channels_last)
    optimizer = torch_optimizer(arm, network.parameters())
    batches = CohortBatches(split, arm.data, [seed])
    schedule = TorchSchedule(arm, optimizer, arm.epochs * batches.steps_per_epoch)
    losses, rates = [], []
    for epoch in range(arm.epochs):
        total = 0.0
        for (member_images,), (labels,) in batches.epoch(epoch):
            optimizer.zero_grad()
            logits = network(member_images)
            loss = F.cross_entropy(logits, labels, label_smoothing=arm.loss.label_smoothing)
            loss.backward()
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step_done()
            losses.append(loss.item())
            total += loss.item() * len(labels)
        schedule.epoch_done(total / len(split))
    return losses, rates


def our_losses(arm: Settings, seed: int, split: ResidentSplit, execution: Execution, monkeypatch: Any) -> list[float]:
    """The loss of each step of our loop."""
    from cifar_lab.training.backends import eager as module

    losses: list[float] = []
    step = module.train_step

    def listening(*given: Any, **more: Any) -> tuple[Tensor, Tensor]:
        loss, right = step(*given, **more)
        losses.append(float(loss[0]))
        return loss, right

    monkeypatch.setattr(module, "train_step", listening)
    trained([arm], [seed], execution, split=split)
    return losses


ARMS = {
    "sgd": ["optimizer.lr=0.005"],
    "sgd nesterov decay": ["optimizer.lr=0.005", "optimizer.nesterov=true", "optimizer.weight_decay=0.01"],
    "adam": ["optimizer.name=adam", "optimizer.lr=0.0003"],
    "adamw": ["optimizer.name=adamw", "optimizer.lr=0.0003", "optimizer.weight_decay=0.1"],
    "plateau": ["optimizer.lr=0.01", "scheduler.name=plateau", "scheduler.patience=1", "scheduler.factor=0.5"],
    "step": ["optimizer.lr=0.005", "scheduler.name=step", "scheduler.step_epochs=7", "scheduler.gamma=0.3"],
    "cosine": ["optimizer.lr=0.005", "scheduler.name=cosine", "scheduler.min_lr=0.0001"],
    "one_cycle": ["optimizer.lr=0.005", "scheduler.name=one_cycle"],
    "adam one_cycle": ["optimizer.name=adam", "optimizer.lr=0.0003", "scheduler.name=one_cycle"],
    "label smoothing": ["optimizer.lr=0.005", "loss.label_smoothing=0.1"],
}


@pytest.mark.parametrize("name", ARMS)
def test_losses_are_those_of_a_plain_torch_loop(
    name: str, execution: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm, split = settings(*ARMS[name]), images()
    expected, rates = plain_losses(arm, 3, split)
    losses = our_losses(arm, 3, split, execution, monkeypatch)
    assert len(losses) == len(expected) == 200
    assert losses == pytest.approx(expected, rel=1e-5)
    assert sum(expected[-10:]) < 0.9 * sum(expected[:10]), "nothing was learnt, so nothing was compared"
    assert (len(set(rates)) > 1) == (arm.scheduler.name != "none"), "the schedule never moved"


# --- cohorts --------------------------------------------------------------------------------------------------------

COHORTS = {
    "sgd": [
        ["optimizer.lr=0.05"],
        ["optimizer.lr=0.01", "optimizer.weight_decay=0.1", "scheduler.name=one_cycle"],
        ["optimizer.lr=0.005", "optimizer.momentum=0.5", "scheduler.name=plateau", "scheduler.patience=0"],
    ],
    "adam": [
        ["optimizer.name=adam"],
        ["optimizer.name=adam", "optimizer.lr=0.0003", "optimizer.weight_decay=0.1", "scheduler.name=cosine"],
        ["optimizer.name=adam", "optimizer.lr=0.003", "scheduler.name=step"],
    ],
}
SEEDS = (5, 0, 11)


def numbers(member: Member) -> list[dict[str, Any]]:
    return [line.model_dump(exclude={"seconds"}) for line in member.history]


@pytest.mark.parametrize("optimizer", COHORTS)
@pytest.mark.parametrize("model", ["Net", "Net1"])
def test_a_member_of_a_cohort_is_the_run_alone_bit_for_bit(optimizer: str, model: str, execution: Execution) -> None:
    arms = [
        settings(f"model.name={model}", "epochs=3", "data.flip=true", "data.noise_std=0.05", *changes)
        for changes in COHORTS[optimizer]
    ]
    together = trained(arms, SEEDS, execution)
    for k, (arm, seed) in enumerate(zip(arms, SEEDS, strict=True)):
        alone = trained([arm], [seed], execution)
        expected, state = alone.cohort.networks[0].state_dict(), together.cohort.networks[k].state_dict()
        assert state.keys() == expected.keys()
        for key in expected:
            assert torch.equal(state[key], expected[key]), key
        assert numbers(together.members[k]) == numbers(alone.members[0])
    if model == "Net1":
        means = [network.get_buffer("bn1.running_mean") for network in together.cohort.networks]
        assert not torch.equal(means[0], means[1])
        assert not torch.equal(means[1], means[2])


# --- divergence -----------------------------------------------------------------------------------------------------


DROPOUT = """
from torch import nn


class Dropping(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(nn.Flatten(), nn.Linear(3072, 16), nn.Dropout(0.5), nn.Linear(16, num_classes))
"""


def test_chance_inside_a_model_is_the_runs_own(tmp_path: Path, execution: Execution) -> None:
    (tmp_path / "dropping.py").write_text(DROPOUT)
    arm = settings(f"model.name={tmp_path}/dropping.py:Dropping", "epochs=2")
    together = trained([arm, arm], [3, 4], execution)
    for member, seed in zip(together.members, (3, 4), strict=True):
        torch.rand(seed)  # what ran before in the process must not matter
        (alone,) = trained([arm], [seed], execution).members
        assert numbers(member) == numbers(alone)
    assert numbers(together.members[0]) != numbers(together.members[1])


def test_a_member_that_diverges_says_where_and_harms_nobody(execution: Execution) -> None:
    arms = [settings("epochs=3", f"optimizer.lr={lr}") for lr in ("0.02", "1e9", "0.01")]
    together = trained(arms, SEEDS, execution)
    reason = together.members[1].diverged
    assert reason is not None
    loss_text, first_step = reason.rpartition("the last finite loss was ")[2], "in epoch 1 at step "
    assert reason.startswith(f"the loss was not finite {first_step}")
    assert math.isfinite(float(loss_text))
    assert together.members[1].history == []
    for k in (0, 2):
        alone = trained([arms[k]], [SEEDS[k]], execution)
        assert together.members[k].diverged is None
        assert numbers(together.members[k]) == numbers(alone.members[0])
        assert torch.equal(together.cohort.parameters.values[k], alone.cohort.parameters.values[0])


def test_the_step_of_divergence_is_the_first_whose_loss_is_not_finite(
    execution: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = settings("epochs=2", "optimizer.lr=1e9")
    losses = our_losses(arm, 0, images(), execution, monkeypatch)
    first = next(step for step, loss in enumerate(losses) if not math.isfinite(loss))
    monkeypatch.undo()
    (member,) = trained([arm], [0], execution).members
    assert 0 < first < 9
    assert member.diverged == (
        f"the loss was not finite in epoch 1 at step {first + 1}; the last finite loss was {losses[first - 1]:.4g}"
    )


def test_training_ends_soon_after_the_last_member_diverged(execution: Execution) -> None:
    steps: list[int] = []

    class Counting(CohortBatches):
        def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
            for batch in super().epoch(epoch):
                steps.append(epoch)
                yield batch

    arm = settings("data.batch_size=1", "epochs=4", "optimizer.lr=1e9")
    batches = Counting(images(), arm.data, [0, 1])
    cohort, _ = build_cohort([arm, arm], [0, 1], 10, batches.steps_per_epoch, execution)
    members = [Member(), Member()]
    train(
        EagerBackend(cohort, batches, 0.0, execution), members, start_epoch=0, epochs=4, validate=None, callback=Deaf()
    )
    assert all(member.diverged for member in members)
    assert steps == [0] * 50


def test_divergence_in_a_later_epoch_keeps_the_last_finite_numbers(execution: Execution) -> None:
    """One member's weights are ruined after its first epoch; the other goes on."""

    def validate(cohort: Cohort) -> list[SplitScore | None]:
        networks = cohort.networks
        scores = [score(predict(network, images(40, 1), execution), images(40, 1).labels, 10) for network in networks]
        with torch.no_grad():
            cohort.parameters.values[1, 0] = math.inf
        return scores

    arm = settings("epochs=3", "optimizer.lr=0.01")
    result = trained([arm, arm], [0, 1], execution, validate=validate)
    healthy, ruined = result.members
    assert healthy.diverged is None
    assert [line.epoch for line in healthy.history] == [1, 2, 3]
    assert ruined.diverged == "a weight was not finite at the end of epoch 1"
    assert ruined.history == []


class Poisoned(nn.Module):
    """Learns well, but an unused weight of it becomes NaN: the loss stays finite."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3 * 32 * 32, 10)
        self.bystander = nn.Parameter(torch.zeros(3))

    def forward(self, batch: Tensor) -> Tensor:
        logits: Tensor = self.inner(batch.flatten(1))
        return logits


def test_a_weight_that_is_not_finite_counts_though_the_loss_is(
    execution: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(models.MODELS, "Net", lambda classes: Poisoned())

    def poison(cohort: Cohort) -> None:
        network = cohort.networks[0]
        assert isinstance(network, Poisoned)
        network.bystander.data.fill_(math.nan)

    (member,) = trained([settings("epochs=2")], [0], execution, prepare=poison).members
    assert member.diverged == "a weight was not finite at the end of epoch 1"
    assert member.history == []


def test_validation_that_is_not_finite_ends_the_run_though_training_is(execution: Execution) -> None:
    calls: list[int] = []

    def validate(cohort: Cohort) -> list[SplitScore | None]:
        calls.append(1)
        good = score(torch.eye(10), torch.arange(10), 10)
        return [good if len(calls) < 3 else None]

    (member,) = trained([settings("epochs=5")], [0], execution, validate=validate).members
    assert member.diverged == "the validation loss was not finite after epoch 3"
    assert [line.epoch for line in member.history] == [1, 2]
    assert len(calls) == 3


# --- numbers of an epoch --------------------------------------------------------------------------------------------


def test_an_epochs_numbers_are_means_over_images(execution: Execution) -> None:
    """At a learning rate of nearly 0 every batch sees the same network: the mean over images is the set's."""
    split = images(37)
    arm = settings("epochs=1", "optimizer.lr=1e-30", "optimizer.momentum=0", "data.batch_size=10")
    result = trained([arm], [4], execution, split=split)
    expected = score(predict(result.cohort.networks[0], split, execution), split.labels, 10)
    (line,) = result.members[0].history
    assert expected is not None
    assert line.train_loss == pytest.approx(expected.loss, rel=1e-6)
    assert line.train_accuracy == pytest.approx(expected.accuracy, rel=1e-12)
    assert (line.val_loss, line.val_accuracy) == (None, None)


def test_the_learning_rate_of_an_epoch_is_that_of_its_last_step(execution: Execution) -> None:
    arm = settings("epochs=4", "scheduler.name=cosine", "optimizer.lr=0.01")
    (member,) = trained([arm], [0], execution).members
    assert [line.lr for line in member.history] == pytest.approx(
        [0.01 * (1 + math.cos(math.pi * (10 * epoch - 1) / 40)) / 2 for epoch in (1, 2, 3, 4)]
    )


# --- evaluation mode ------------------------------------------------------------------------------------------------


@pytest.fixture
def net1(execution: Execution) -> nn.Module:
    (network,) = trained([settings("model.name=Net1", "epochs=2", "optimizer.lr=0.05")], [2], execution).cohort.networks
    return network


@pytest.mark.parametrize("training", [True, False])
def test_predicting_changes_neither_statistics_nor_mode(net1: nn.Module, execution: Execution, training: bool) -> None:
    net1.train(training)
    before = {key: value.clone() for key, value in net1.state_dict().items()}
    predict(net1, images(60, 5), execution)
    assert all(torch.equal(value, before[key]) for key, value in net1.state_dict().items())
    assert all(module.training == training for module in net1.modules())


def test_predictions_are_in_data_set_order_and_each_is_its_images_own(net1: nn.Module, execution: Execution) -> None:
    """Evaluation mode: what else lies in the batch has no part in an image's logits."""
    count = EVALUATION_BATCH_SIZE + 13
    split = images(count, 6)
    logits = predict(net1, split, execution)
    assert logits.shape == (count, 10)
    assert not logits.requires_grad
    net1.eval()
    for index in (0, 7, EVALUATION_BATCH_SIZE - 1, EVALUATION_BATCH_SIZE, count - 1):
        alone = net1(split.normalized(index, index + 1)[0])
        torch.testing.assert_close(logits[index : index + 1], alone.detach(), rtol=1e-4, atol=1e-4)
    net1.train()
    in_training_mode = net1(split.normalized(0, EVALUATION_BATCH_SIZE)[0])
    assert not torch.allclose(logits[:EVALUATION_BATCH_SIZE], in_training_mode, atol=0.05)


def test_predictions_do_not_depend_on_the_batch_size(
    net1: nn.Module, execution: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = images(101, 6)
    expected = predict(net1, split, execution)
    for size in (1, 7, 100):
        monkeypatch.setattr("cifar_lab.training.evaluate.EVALUATION_BATCH_SIZE", size)
        torch.testing.assert_close(predict(net1, split, execution), expected, rtol=1e-4, atol=1e-4)


def test_each_epoch_trains_in_training_mode_though_validation_stood_between(execution: Execution) -> None:
    modes: list[bool] = []

    def validate(cohort: Cohort) -> list[SplitScore | None]:
        modes.append(cohort.networks[0].training)
        cohort.networks[0].eval()
        return [score(torch.eye(10), torch.arange(10), 10)]

    arm = settings("model.name=Net1", "epochs=3")
    left_in_eval = trained([arm], [0], execution, validate=validate)
    assert modes == [True, True, True]
    never_validated = trained([arm], [0], execution)
    assert torch.equal(left_in_eval.cohort.parameters.values, never_validated.cohort.parameters.values)


# --- precision and compilation --------------------------------------------------------------------------------------


def test_bf16_stays_near_fp32_and_keeps_its_parameters_in_fp32() -> None:
    results = {}
    for precision in ("fp32", "bf16"):
        arm = settings(f"runtime.precision={precision}", "optimizer.lr=0.005")
        execution = prepare_execution(arm.runtime, 1)
        results[precision] = trained([arm], [1], execution)
        assert results[precision].cohort.parameters.values.dtype == torch.float32
    fp32, bf16 = (results[precision].members[0].history for precision in ("fp32", "bf16"))
    assert [line.train_loss for line in fp32] != [line.train_loss for line in bf16]
    assert fp32[0].train_loss == pytest.approx(bf16[0].train_loss, rel=0.01)
    assert fp32[-1].train_loss == pytest.approx(bf16[-1].train_loss, rel=0.2)


@pytest.mark.slow
def test_a_compiled_network_trains_alike_and_has_the_same_keys(
    execution: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Captured and differentiated by torch.compile as ever; only its C++ code, half a minute's work, is left out."""
    compiled: list[str] = []

    def without_code(module: nn.Module, **options: Any) -> None:
        compiled.append(type(module).__name__)
        whole_compile(module, backend="aot_eager", **options)

    whole_compile = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", without_code)
    split = images(40)
    results = [
        trained([settings("epochs=2", f"runtime.compile={wish}")], [1], execution, split=split)
        for wish in ("false", "true")
    ]
    assert compiled == ["Net"]
    plain, captured = (result.cohort.networks[0].state_dict() for result in results)
    assert plain.keys() == captured.keys()
    for key in plain:
        torch.testing.assert_close(plain[key], captured[key], rtol=1e-4, atol=1e-5)


def test_an_epoch_tells_how_far_it_is(execution: Execution) -> None:
    heard: list[tuple[int, int, int]] = []

    class Listener(Deaf):
        def step(self, epoch: int, step: int, steps: int, loss: float, accuracy: float) -> None:
            heard.append((epoch, step, steps))
            assert math.isfinite(loss)
            assert 0 <= accuracy <= 1

    arm = settings("data.batch_size=1")
    batches = CohortBatches(images(120), arm.data, [0])
    cohort, _ = build_cohort([arm], [0], 10, batches.steps_per_epoch, execution)
    assert train_epoch(EagerBackend(cohort, batches, 0.0, execution), 0, Listener()) == 120
    assert heard == [(1, 50, 120), (1, 100, 120)]
