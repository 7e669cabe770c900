"""Trial of an optimizer, schedule, loss, augmentation and metrics before their runs start."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from cifar_lab.config import SGD, CustomModel, CustomOptimizer, Loss, NoSchedule, Settings
from cifar_lab.config.model_source import model_source
from cifar_lab.config.own_code import needs_trial, own_code, plain_reason
from cifar_lab.core.errors import LabError, SettingsError
from cifar_lab.data.batches import CohortBatches
from cifar_lab.data.resident_split import Normalizer, ResidentSplit
from cifar_lab.models.initialisation import plain_covariance
from cifar_lab.models.own_function import OwnCode
from cifar_lab.models.user_code import uncovered_files
from cifar_lab.training.backends.eager import EagerBackend
from cifar_lab.training.backends.plain import PlainBackend
from cifar_lab.training.build import build_cohort, layout
from cifar_lab.training.cohort import Cohort
from cifar_lab.training.device import Execution, prepare_execution
from cifar_lab.training.events import ModelBuilt
from cifar_lab.training.function_trial import BATCH, FunctionTrial
from cifar_lab.training.own_functions import own_augment, own_loss
from cifar_lab.training.trial import build_model, try_model

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
    functions = FunctionTrial(settings, num_classes, execution.device)
    functions.check_loss()
    functions.check_augmentation()
    functions.check_metrics()
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
        batches.own_augment = own_augment(settings)
        if plain_reason(settings) is None:
            return _Built(cohort, EagerBackend(cohort, batches, settings.loss.label_smoothing, execution))
        loss = own_loss(settings)
        return _Built(cohort, PlainBackend(cohort, batches, settings.loss.label_smoothing, execution, own_loss=loss))

    def check_schedule(self, cohort: Cohort) -> None:
        """Compute the first epochs of the schedule, twice."""
        for epoch in range(min(self.settings.epochs, max(1, MOST_UPDATES // self.steps))):
            (one, _), (other, _) = (cohort.schedule.epoch_table(epoch) for _ in range(2))
            if not np.array_equal(one, other):
                raise SettingsError(
                    f"scheduler.name: {self.settings.scheduler.name}: two calls give other factors; it must depend on "
                    "its arguments alone"
                )

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


def _equal(one: Cohort, other: Cohort) -> bool:
    """Whether two cohorts of one network have the same numbers, bit for bit."""
    first, second = one.networks[0].state_dict(), other.networks[0].state_dict()
    return all(torch.equal(first[name].nan_to_num(), second[name].nan_to_num()) for name in first)
