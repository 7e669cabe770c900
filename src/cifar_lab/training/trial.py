"""Trial of a custom model before its runs start: what training will do, on the device that it will use."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import nn

from cifar_lab import models
from cifar_lab.config import CustomModel, Settings
from cifar_lab.config.model_source import model_source
from cifar_lab.models.user_code import forked_generators, uncovered_files
from cifar_lab.models.weight_inputs import input_notes
from cifar_lab.training.backends.choice import choose_kernels
from cifar_lab.training.device import Execution, prepare_execution
from cifar_lab.training.events import ModelBuilt
from cifar_lab.training.frozen_layers import freeze_for_epoch
from cifar_lab.training.trial_steps import ModelTrial, same_networks

SMALL_BATCH = 4
"""Images of the steps that are compared bit for bit."""

BACKWARD_FACTOR = 3.0
"""Duration of a step in multiples of that of a forward pass."""


def try_model(
    settings: Settings, num_classes: int, train_size: int, tell: Callable[[float], None] = lambda seconds: None
) -> ModelBuilt:
    """Train a custom model on a few random images. Nothing is written.

    Args:
        settings: of an arm.
        num_classes: classes of its images.
        train_size: training images, which decide the size of the last batch.
        tell: called with the predicted seconds of the rest, once a few images have passed.

    Raises:
        SettingsError: the model breaks, gives other outputs than logits, differs between two runs of a seed, or imports
            files that the run id does not cover.
    """
    model = settings.model
    assert isinstance(model, CustomModel)
    source = model_source(model.name)
    asked = settings
    settings = settings.model_copy(update={"runtime": settings.runtime.model_copy(update={"compile": False})})
    execution = prepare_execution(settings.runtime, threads=torch.get_num_threads())
    size = min(settings.data.batch_size, train_size)
    trial = ModelTrial(settings, model, source, num_classes, train_size, execution)
    begun = time.monotonic()
    notes = trial.made_twice()
    made = time.monotonic() - begun
    small = min(SMALL_BATCH, size)
    passed, softmax = trial.check_outputs(max(small, 2))
    notes += [softmax] if softmax is not None else []
    images = 10 * small + size + train_size % size
    tell(2 * made + BACKWARD_FACTOR * passed * images / max(small, 2))
    cohort, again = trial.cohort(), trial.cohort()
    for each in (cohort, again):
        trial.steps(each, epoch=0, sizes=[small, small] if small > 1 else [])
    exact = execution.device.type == "cpu" or settings.runtime.deterministic
    if exact and not same_networks(cohort, again):
        raise trial.refusal(
            "two trainings with the same seed differ; draw its random numbers from the global generators of torch, "
            "NumPy or Python"
        )
    trial.evaluate(cohort)
    resumable = trial.resumes(cohort, small) or not exact
    if not resumable:
        notes.append(
            f"{model.name} has state that a checkpoint cannot keep: an interrupted run of it starts again from epoch 1"
        )
    trial.steps(cohort, epoch=2, sizes=sorted({size, train_size % size or size}, reverse=True))
    trial.check_trained(cohort)
    if others := uncovered_files(source):
        names = ", ".join(map(str, others[:3])) + (", …" if len(others) > 3 else "")
        raise trial.refusal(
            f"it imports {names}, which the run id does not cover; move it beside the model, install it as a package, "
            "or import it by its name"
        )
    notes += input_notes(settings, cohort.networks[0])
    own, reason = _kernels(asked, cohort.networks[0], execution)
    return ModelBuilt(models.count_parameters(cohort.networks[0]), resumable, "\n".join(notes), own, reason)


def build_model(settings: Settings, num_classes: int) -> ModelBuilt:
    """Build a model without training it.

    Raises:
        SettingsError, WeightsError: it does not build, its weights do not fit, or it has no layer of `model.freeze`.
    """
    notes: list[str] = []
    with forked_generators():
        network = models.build(settings.model, num_classes, settings.data.side(), notes)
        freeze_for_epoch([network], [settings], settings.epochs)
    notes += input_notes(settings, network)
    return ModelBuilt(models.count_parameters(network), notes="\n".join(notes))


def _kernels(settings: Settings, network: nn.Module, execution: Execution) -> tuple[bool, str | None]:
    """Whether this project's kernels make the steps of a network, and if not, the reason.

    Raises:
        SettingsError: `runtime.kernels: own` asks for them.
    """
    if settings.runtime.kernels == "torch":
        settings = settings.model_copy(update={"runtime": settings.runtime.model_copy(update={"kernels": "auto"})})
    chosen, kernels = choose_kernels(settings, execution, 1, None, network)
    return chosen.own_kernels, kernels.reason
