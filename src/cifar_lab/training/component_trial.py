"""Trial of an optimizer, schedule, loss, augmentation and metrics before their runs start."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cifar_lab.config import SGD, CustomLoss, CustomModel, CustomOptimizer, Loss, NoSchedule, Settings
from cifar_lab.config.model_source import model_source
from cifar_lab.config.own_code import needs_trial, own_code, plain_reason
from cifar_lab.core.errors import LabError, SettingsError
from cifar_lab.data.batches import CohortBatches, Normalizer, ResidentSplit
from cifar_lab.data.random_streams import seed_generators
from cifar_lab.models.initialisation import plain_covariance
from cifar_lab.models.own_function import OwnCode
from cifar_lab.models.user_code import forked_generators, uncovered_files
from cifar_lab.training.backends.eager import EagerBackend
from cifar_lab.training.backends.plain import PlainBackend
from cifar_lab.training.build import build_cohort, layout
from cifar_lab.training.cohort import Cohort
from cifar_lab.training.device import Execution, prepare_execution
from cifar_lab.training.events import ModelBuilt
from cifar_lab.training.own_functions import OwnLoss, kind_of, own_augment, own_loss, own_metrics
from cifar_lab.training.trial import build_model, try_model

BATCH = 4
"""Images of a step of the trial."""

STEPS = 2
"""Steps of an epoch of the trial."""

TRIAL_EPOCHS = 2
"""Epochs of a trial: one that is trained, and one after a checkpoint."""

MOST_UPDATES = 20_000
"""Steps of a schedule that are computed in advance. The trial then takes less than a second."""


def try_arm(
    settings: Settings, num_classes: int, train_size: int, tell: Callable[[float], None] = lambda seconds: None
) -> ModelBuilt:
    """Try all that can fail to train: a custom model by itself, then the components of the user and of torch.

    Args:
        settings: of an arm.
        num_classes: classes of its images.
        train_size: training images.
        tell: as in `try_model`.

    Raises:
        SettingsError: a component breaks, returns something else than it must, or could not resume.
    """
    if isinstance(settings.model, CustomModel):
        built = try_model(_model_alone(settings), num_classes, train_size, tell)
    else:
        built = build_model(settings, num_classes)
    if needs_trial(settings):
        _try_components(settings, num_classes, train_size, resumable=built.resumable)
    return built


def _model_alone(settings: Settings) -> Settings:
    """The settings with components that cannot fail."""
    alone = {"optimizer": SGD(), "scheduler": NoSchedule(), "loss": Loss(), "metrics": ()}
    return settings.model_copy(update={**alone, "data": settings.data.model_copy(update={"augment": None})})


def _try_components(settings: Settings, num_classes: int, train_size: int, *, resumable: bool) -> None:
    runtime = settings.runtime.model_copy(update={"compile": False})
    data = settings.data.model_copy(update={"batch_size": BATCH})
    steps = math.ceil(train_size / settings.data.batch_size)
    epochs = max(TRIAL_EPOCHS, settings.epochs)
    settings = settings.model_copy(update={"runtime": runtime, "data": data, "epochs": epochs})
    execution = prepare_execution(runtime, threads=torch.get_num_threads())
    trial = _ComponentTrial(settings, num_classes, steps, execution)
    first, again = trial.built(), trial.built()
    trial.check_schedule(first.cohort)
    trial.check_loss()
    trial.check_augmentation()
    trial.check_metrics()
    exact = execution.device.type == "cpu" or runtime.deterministic
    trial.check_steps(first, again, exact=exact)
    if exact and resumable:
        trial.check_resume(first)
    if others := uncovered_files(*(model_source(name, key) for key, name in own_code(settings))):
        key, name = own_code(settings)[0]
        raise SettingsError(
            f"{key}: {name}: its code imports {', '.join(map(str, others[:3]))}, which the run id does not cover; move "
            "it beside the file, install it as a package, or import it by its name"
        )


@dataclass(frozen=True)
class _Built:
    """A new cohort of one, with the backend that trains it."""

    cohort: Cohort
    backend: EagerBackend

    def train(self, epoch: int) -> None:
        """The few steps of an epoch."""
        self.cohort.train_mode()
        for _ in self.backend.epoch(epoch):
            pass


@dataclass(frozen=True)
class _ComponentTrial:
    settings: Settings
    num_classes: int
    steps: int
    """Steps of an epoch of the real run."""
    execution: Execution

    def built(self, seed: int = 0) -> _Built:
        """A cohort of this seed, with the components of the settings, on random images."""
        settings, execution = self.settings, self.execution
        cohort, _ = build_cohort(
            [settings], [seed], self.num_classes, self.steps, execution, covariance=plain_covariance
        )
        memory_format = layout(settings, execution, stacked=False)
        side = settings.data.side()
        plain = Normalizer.make("half", (), (), execution.device, memory_format, side)
        random = np.random.default_rng(0)
        pixels = random.integers(0, 256, (BATCH * STEPS, 3, side, side), dtype=np.uint8)
        split = ResidentSplit(pixels, random.integers(0, self.num_classes, BATCH * STEPS), plain)
        batches = CohortBatches(split, settings.data, [0])
        if settings.data.augment is not None:
            batches.own_augment = own_augment(settings.data.augment)
        if plain_reason(settings) is None:
            return _Built(cohort, EagerBackend(cohort, batches, settings.loss.label_smoothing, execution))
        loss = self._loss()
        return _Built(cohort, PlainBackend(cohort, batches, settings.loss.label_smoothing, execution, own_loss=loss))

    def _loss(self) -> OwnLoss | None:
        section = self.settings.loss
        return own_loss(section) if isinstance(section, CustomLoss) else None

    def check_schedule(self, cohort: Cohort) -> None:
        """Compute the first epochs of the schedule, twice."""
        for epoch in range(min(self.settings.epochs, max(1, MOST_UPDATES // self.steps))):
            (one, _), (other, _) = (cohort.schedule.epoch_table(epoch) for _ in range(2))
            if not np.array_equal(one, other):
                raise SettingsError(
                    f"scheduler.name: {self.settings.scheduler.name}: two calls give other factors; it must depend on "
                    "its arguments alone"
                )

    def check_loss(self) -> None:
        """Check the value and the gradient of the loss."""
        if (loss := self._loss()) is None:
            return
        code, (logits, labels) = loss.code, self._logits(BATCH)
        found = [self._called(code, loss, logits.requires_grad_(), labels) for _ in range(2)]
        value = found[0]
        if not isinstance(value, Tensor) or value.dim() or not value.is_floating_point():
            raise code.refusal(f"returns {kind_of(value)}; return the mean over the batch, a scalar tensor")
        if not bool(value.isfinite()):
            raise code.refusal(f"returns {value.item():g} for random logits; return a finite number")
        if not value.requires_grad:
            raise code.refusal("its value has no gradient; compute it from the logits by operations of torch")
        if found[1].item() != value.item():
            raise code.refusal(_OWN_NUMBERS)
        (gradient,) = torch.autograd.grad(value, logits)
        if not bool(gradient.isfinite().all()):
            raise code.refusal("its gradient is not finite for random logits; correct it")

    def check_augmentation(self) -> None:
        """Check shape, type and the source of random numbers of the augmentation."""
        name, side = self.settings.data.augment, self.settings.data.side()
        if name is None:
            return
        augment, found = own_augment(name), []
        code, device = augment.code, self.execution.device
        for number in range(2):
            images = torch.randint(256, (BATCH, 3, side, side), generator=_generator(0), dtype=torch.uint8)
            with self._told(code), forked_generators():
                seed_generators(number)
                found.append(augment(images.to(device), torch.Generator(device).manual_seed(1)))
        if not torch.equal(*found):
            raise code.refusal(
                "two calls with equal generators give other images; draw all random numbers from the generator that it "
                "is given"
            )

    def check_metrics(self) -> None:
        """Check that each metric is a finite number, twice the same."""
        logits, labels = self._logits(8 * self.num_classes)
        labels = torch.arange(len(labels)) % self.num_classes
        for metric in own_metrics(self.settings):
            with forked_generators():
                one, other = metric(logits.cpu(), labels), metric(logits.cpu(), labels)
            if one is None:
                raise metric.code.refusal("returns a number that is not finite for random logits; correct it")
            if one != other:
                raise metric.code.refusal(_OWN_NUMBERS)

    def check_steps(self, first: _Built, again: _Built, *, exact: bool) -> None:
        """Train twice from one seed, and compare."""
        for each in (first, again):
            self._train(each, 0)
        if exact and not _equal(first.cohort, again.cohort):
            raise self._of_optimizer(
                "two trainings with the same seed differ; draw its random numbers from the global generators of torch, "
                "NumPy or Python"
            )

    def check_resume(self, trained: _Built) -> None:
        """Compare the next epoch with that of a new cohort with the saved state."""
        buffer = io.BytesIO()
        torch.save(trained.cohort.state(0), buffer)
        fresh = self.built(seed=1)
        fresh.cohort.load_state(0, torch.load(io.BytesIO(buffer.getvalue()), map_location="cpu", weights_only=True))
        for each in (trained, fresh):
            self._train(each, 1)
        if not _equal(trained.cohort, fresh.cohort):
            raise self._of_optimizer(
                "an interrupted run would end with other numbers; keep its state in self.state, in its groups or in "
                "attributes that are numbers or tensors, and draw random numbers from torch's global generator"
            )

    def _train(self, built: _Built, epoch: int) -> None:
        optimizer = self.settings.optimizer
        code = OwnCode("optimizer.name", optimizer.name) if isinstance(optimizer, CustomOptimizer) else None
        try:
            built.train(epoch)
        except LabError:
            raise
        except Exception as error:
            described = code.describe(error) if code is not None else f"{type(error).__name__}: {error}"
            raise self._of_optimizer(f"a training step fails: {described}; correct it") from error

    def _of_optimizer(self, reason: str) -> SettingsError:
        return SettingsError(f"optimizer.name: {self.settings.optimizer.name}: {reason}")

    def _logits(self, count: int) -> tuple[Tensor, Tensor]:
        """Random logits and labels on the device."""
        device = self.execution.device
        logits = torch.randn(count, self.num_classes, generator=_generator(0)).to(device)
        labels = torch.randint(self.num_classes, (count,), generator=_generator(1)).to(device)
        return logits, labels

    def _called(self, code: OwnCode, called: Callable[..., Any], *arguments: Tensor) -> Any:
        """The value of a call, with the global generators at one state."""
        with self._told(code), forked_generators():
            seed_generators(0)
            return called(*arguments)

    @contextlib.contextmanager
    def _told(self, code: OwnCode) -> Iterator[None]:
        """Name the function that fails."""
        try:
            yield
        except LabError:
            raise
        except Exception as error:
            raise code.refusal(f"fails: {code.describe(error)}; correct it") from error


_OWN_NUMBERS = (
    "two calls with the same arguments differ; draw its random numbers from the global generators of torch, NumPy or "
    "Python"
)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _equal(one: Cohort, other: Cohort) -> bool:
    """Whether two cohorts of one network have the same numbers, bit for bit."""
    first, second = one.networks[0].state_dict(), other.networks[0].state_dict()
    return all(torch.equal(first[name].nan_to_num(), second[name].nan_to_num()) for name in first)
