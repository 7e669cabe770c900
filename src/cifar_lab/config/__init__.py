"""Settings of an experiment: frozen, typed, validated on construction. No torch, no files.

The text below a field is its documentation: meaning, unit, special values. `cifar-lab schema` and editors show it.
A section with a choice (`model.name`, `optimizer.name`, …) has one class per choice, so a setting exists only where
it means something. Defaults never change their meaning: a default left out of a file is left out of a run's id.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cifar_lab.config.data import Cifar10, Cifar100, Data, DataOptions, ImageFolder, Synthetic
from cifar_lab.config.model import (
    CustomModel,
    Model,
    ModelOptions,
    Net1Model,
    Net2Model,
    Net3Model,
    NetModel,
    ResNet18Model,
)
from cifar_lab.config.roles import MAX_SEED, Mark, Probability, Role, Section, Seed
from cifar_lab.config.training import (
    SGD,
    Adam,
    AdamW,
    Cosine,
    Loss,
    NoSchedule,
    OneCycle,
    Optimizer,
    OptimizerOptions,
    Plateau,
    Scheduler,
    Step,
    WarmUp,
)

__all__ = [
    "MAX_SEED",
    "SGD",
    "Adam",
    "AdamW",
    "Cifar10",
    "Cifar100",
    "Cosine",
    "CustomModel",
    "Data",
    "DataOptions",
    "ImageFolder",
    "Loss",
    "Model",
    "ModelOptions",
    "Net1Model",
    "Net2Model",
    "Net3Model",
    "NetModel",
    "NoSchedule",
    "OneCycle",
    "Optimizer",
    "OptimizerOptions",
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
    "WarmUp",
]


class Runtime(Section):
    """How to execute. Only `precision` changes a run's numbers beyond rounding, so only it enters a run's id."""

    device: Annotated[Literal["auto", "cpu", "cuda"], Role.EXECUTION] = "auto"
    """`auto` takes the GPU where there is one; `cuda` insists."""
    precision: Annotated[Literal["fp32", "bf16"], Role.SHARED, Mark.ALWAYS_IN_ID] = "fp32"
    """`bf16`: forward pass in bfloat16 by autocast, parameters and updates in fp32."""
    compile: Annotated[bool, Role.EXECUTION] = False
    """Pass the model through torch.compile: pays after minutes, needs a C++ compiler."""
    kernels: Annotated[Literal["auto", "own", "torch"], Role.EXECUTION] = "auto"
    """What a step is made of on the CPU: this lab's `own` kernels, compiled by the system's C compiler at first use, or
    `torch`'s. `auto` takes its own for the Net family where they can be had; `own` insists."""
    deterministic: Annotated[bool, Role.EXECUTION] = True
    """Only kernels that give the same bits each time."""
    cohort: Annotated[Annotated[int, Field(ge=1, le=1024)] | Literal["auto"], Role.EXECUTION] = "auto"
    """Most runs trained together as one stacked set of parameters. `auto`: of a small model as many as fit into a GPU's
    memory; 1 of a large one, and on the CPU, where processes side by side are faster."""
    threads: Annotated[Annotated[int, Field(ge=1, le=256)] | Literal["auto"], Role.EXECUTION] = "auto"
    """CPU threads of one run. `auto`, with torch's kernels: one below a million parameters, else all cores that the
    process may use. With the lab's own kernels one, or two for a run that has the cores for itself."""


class Settings(Section):
    """One arm of an experiment: everything that `cifar-lab run` needs to know."""

    label: Annotated[str, Role.LABEL] = Field("", max_length=200)
    """Name on charts and in tables; empty is the file's name. Not part of a run's id."""
    data: Annotated[Data, Mark.ALWAYS_IN_ID] = Cifar10()
    model: Annotated[Model, Mark.ALWAYS_IN_ID] = NetModel()
    optimizer: Annotated[Optimizer, Mark.ALWAYS_IN_ID] = SGD()
    scheduler: Annotated[Scheduler, Mark.ALWAYS_IN_ID] = NoSchedule()
    loss: Annotated[Loss, Mark.ALWAYS_IN_ID] = Loss()
    epochs: Annotated[int, Role.SHARED, Mark.ALWAYS_IN_ID] = Field(10, ge=1, le=100_000)
    """Passes over the training split."""
    seeds: Annotated[tuple[Seed, ...], Field(strict=False, min_length=1, max_length=10_000), Role.LABEL] = (0, 1, 2)
    """One run a seed. A seed decides initial weights, data order and augmentation, each from a stream of its own."""
    runtime: Runtime = Runtime()
