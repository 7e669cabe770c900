"""Settings of an experiment: frozen, typed, validated on construction. No torch, no files.

The text below a field is its documentation: meaning, unit, special values. `cifar-lab schema` and editors show it.
A section with a choice (`model.name`, `optimizer.name`, …) has one class per choice, so a setting exists only where
it means something. Defaults never change their meaning: a default left out of a file is left out of a run's id.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cifar_lab.config.adversarial import Adversarial
from cifar_lab.config.data import Cifar10, Cifar100, Data, DataOptions, ImageFolder, Synthetic
from cifar_lab.config.fine_tune import FineTune
from cifar_lab.config.loss import AnyLoss, CustomLoss, Loss
from cifar_lab.config.model import (
    CifarNetModel,
    CustomModel,
    Model,
    Net1Model,
    Net2Model,
    Net3Model,
    NetModel,
    ResNet18Model,
    WideModel,
)
from cifar_lab.config.model_options import ModelOptions
from cifar_lab.config.optimizers import CustomOptimizer, OptimizerOptions, ParameterGroup, TorchOptimizer
from cifar_lab.config.roles import CODE_NAME, MAX_SEED, Mark, Probability, Role, Section, Seed
from cifar_lab.config.schedulers import (
    CornerSchedule,
    CustomSchedule,
    Linear,
    Piecewise,
    TorchSchedule,
    Trapezoid,
    Triangular,
    WarmUp,
)
from cifar_lab.config.schedules import Cosine, NoSchedule, OneCycle, Plateau, Scheduler, Step
from cifar_lab.config.training import (
    SGD,
    Adam,
    AdamW,
    Average,
    Ema,
    Muon,
    NoAverage,
    Optimizer,
)

__all__ = [
    "MAX_SEED",
    "SGD",
    "Adam",
    "AdamW",
    "Adversarial",
    "AnyLoss",
    "Average",
    "Cifar10",
    "Cifar100",
    "CifarNetModel",
    "CornerSchedule",
    "Cosine",
    "CustomLoss",
    "CustomModel",
    "CustomOptimizer",
    "CustomSchedule",
    "Data",
    "DataOptions",
    "Ema",
    "Evaluate",
    "FineTune",
    "ImageFolder",
    "Linear",
    "Loss",
    "Model",
    "ModelOptions",
    "Muon",
    "Net1Model",
    "Net2Model",
    "Net3Model",
    "NetModel",
    "NoAverage",
    "NoSchedule",
    "OneCycle",
    "Optimizer",
    "OptimizerOptions",
    "ParameterGroup",
    "Piecewise",
    "Plateau",
    "Probability",
    "ResNet18Model",
    "Runtime",
    "Scheduler",
    "Section",
    "Seed",
    "Settings",
    "Step",
    "Synthetic",
    "TorchOptimizer",
    "TorchSchedule",
    "Trapezoid",
    "Triangular",
    "WarmUp",
    "WideModel",
]


MetricName = Annotated[str, Field(pattern=CODE_NAME)]


class Runtime(Section):
    """Execution of the runs. Only `precision` changes numbers by more than rounding, so only `precision` is part of a
    run's id."""

    device: Annotated[Literal["auto", "cpu", "cuda"], Role.EXECUTION] = "auto"
    """`auto` uses the GPU if there is one. `cuda` fails without a GPU."""
    precision: Annotated[Literal["fp32", "bf16"], Role.SHARED, Mark.ALWAYS_IN_ID] = "fp32"
    """`bf16`: forward pass in bfloat16 by autocast, parameters and updates in fp32."""
    compile: Annotated[bool, Role.EXECUTION] = False
    """Compile the model with torch.compile. Worthwhile if a run takes several minutes. Needs a C++ compiler."""
    kernels: Annotated[Literal["auto", "own", "torch"], Role.EXECUTION] = "auto"
    """Kernels of a training step. `own`: those of cifar-lab, compiled at first use: C kernels on the CPU, which need a
    C compiler, and the block kernel on a GPU, for Net to Net3. `torch`: torch's kernels. `auto` uses `own` where
    that is possible and faster. `own` fails if it is not possible."""
    deterministic: Annotated[bool, Role.EXECUTION] = True
    """Use only deterministic kernels, which give the same bits each time."""
    cohort: Annotated[Annotated[int, Field(ge=1, le=1024)] | Literal["auto"], Role.EXECUTION] = "auto"
    """Largest number of runs that train together. `auto`: for a small model as many as fit into the GPU's memory, or as
    fill the GPU with runs of any batch sizes if the block kernel trains them. 1 for a large model and on the CPU, where
    parallel processes are faster. A number keeps runs of different batch sizes apart."""
    threads: Annotated[Annotated[int, Field(ge=1, le=256)] | Literal["auto"], Role.EXECUTION] = "auto"
    """CPU threads per run. `auto` with torch's kernels: one below a million parameters, else all cores that the process
    may use. With the C kernels: one, or two for a run that trains alone."""
    checkpoint_seconds: Annotated[float, Field(ge=0, le=86_400), Role.EXECUTION, Mark.LATER] = 10.0
    """Least time in seconds between two checkpoints of a run, which are written at the end of an epoch. 0 writes one
    after each epoch. A run that is killed loses at most this time and an epoch. A run that is asked to stop loses
    nothing."""


class Evaluate(Section):
    """Further evaluation of a trained network, recorded beside its accuracy."""

    tta: Annotated[Literal["none", "flip"], Role.SHARED] = "none"
    """Test-time augmentation. `flip`: the accuracy of the mean logits of each image and its mirror image, as in
    arXiv:2404.00498, is recorded as `accuracy_tta`, on the test split and on the validation split after the last epoch.
    No choice and no verdict uses it."""


class Settings(Section):
    """One arm of an experiment: everything that `cifar-lab run` needs to know."""

    label: Annotated[str, Role.LABEL] = Field("", max_length=200)
    """Name on charts and in tables. Empty: the file's name. Not part of a run's id."""
    data: Annotated[Data, Mark.ALWAYS_IN_ID] = Cifar10()
    model: Annotated[Model, Mark.ALWAYS_IN_ID] = NetModel()
    optimizer: Annotated[Optimizer, Mark.ALWAYS_IN_ID] = SGD()
    scheduler: Annotated[Scheduler, Mark.ALWAYS_IN_ID] = NoSchedule()
    loss: Annotated[AnyLoss, Mark.ALWAYS_IN_ID] = Loss()
    average: Annotated[Average, Mark.LATER] = NoAverage()
    adversarial: Adversarial = Adversarial()
    epochs: Annotated[int, Role.SHARED, Mark.ALWAYS_IN_ID] = Field(10, ge=1, le=100_000)
    """Passes over the training split."""
    seeds: Annotated[tuple[Seed, ...], Field(strict=False, min_length=1, max_length=10_000), Role.LABEL] = (0, 1, 2)
    """One run per seed. The seed determines initial weights, data order and augmentation, each from a separate random
    stream."""
    metrics: Annotated[
        tuple[MetricName, ...], Field(strict=False, max_length=100), Role.SHARED, Mark.CODE, Mark.LATER
    ] = ()
    """Your metrics, each `path/to/file.py:NAME` or `package.module:NAME`: a function `f(logits, labels)` that returns a
    number, from logits (N, classes) and labels (N,). It is computed on the validation split after each epoch and on the
    test split, and recorded under its name. No verdict uses it. The id of a run includes its source, as that of a
    model."""
    evaluate: Annotated[Evaluate, Mark.LATER] = Evaluate()
    fine_tune: FineTune = FineTune()
    runtime: Runtime = Runtime()
