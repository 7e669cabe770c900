"""Choice of the backend for a cohort. Kernels are chosen first, because the memory layout of images depends on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import nn

from cifar_lab.config import CustomModel, Settings
from cifar_lab.config.data import IMAGE_SIDE
from cifar_lab.config.fine_tune_rules import fine_tunes
from cifar_lab.config.own_code import kernels_reason, plain_reason
from cifar_lab.config.registry import facts_of
from cifar_lab.data.batches import CohortBatches
from cifar_lab.training.adversary import Adversary
from cifar_lab.training.backends.base import BackendInfo, StepBackend
from cifar_lab.training.backends.block.backend import BlockBackend
from cifar_lab.training.backends.block.conditions import (
    MODELS,
    UnequalMembers,
    are_mixed,
    check_cohort,
    check_settings,
    parts_of,
)
from cifar_lab.training.backends.block.gpu import GpuKernel, check_gpu
from cifar_lab.training.backends.block.jobs import MOST_CLASSES
from cifar_lab.training.backends.block.update_rules import optimizers_of
from cifar_lab.training.backends.cuda_graph import CudaGraphBackend, NotCapturedError
from cifar_lab.training.backends.eager import EagerBackend
from cifar_lab.training.backends.kept_libraries import KernelsUnavailable
from cifar_lab.training.backends.kernels.backend import KernelBackend, step_function
from cifar_lab.training.backends.kernels.operations import Operations
from cifar_lab.training.backends.kernels.recognition import recognised_operations
from cifar_lab.training.backends.linear_head import linear_head_backend
from cifar_lab.training.backends.plain import PlainBackend
from cifar_lab.training.cohort import Cohort
from cifar_lab.training.device import Execution
from cifar_lab.training.own_functions import LossOf

if TYPE_CHECKING:
    from cifar_lab.training.teacher import Teacher


@dataclass(frozen=True)
class KernelChoice:
    """Outcome of the choice between this project's kernels and torch's."""

    reason: str | None = None
    """Reason for torch's kernels where the settings allow both."""
    operations: Operations | None = None
    """Operations of a custom network that the kernels know. None for other networks."""


def choose_kernels(
    settings: Settings, execution: Execution, members: int, saved: str | None, network: nn.Module | None = None,
    arms: Sequence[Settings] = (),
) -> tuple[Execution, KernelChoice]:  # fmt: skip
    """Decide between this project's kernels and torch's.

    Args:
        members: runs that train together.
        saved: kernels of a resumed run's first epochs (`own` or `torch`), None for a new run. A resumed run keeps its
            kernels, because the others round differently.
        network: that of a custom model, which the kernels may know.
        arms: settings of each member. Without them all have `settings`.

    Returns:
        `execution` with the choice.

    Raises:
        SettingsError: `runtime.kernels: own` is set and they are not available.
        UnequalMembers: the members cannot be stacked, and the block kernel is not available.
    """
    chosen, kernels = _choose(settings, execution, members, saved, network, arms)
    if are_mixed(arms) and not chosen.own_kernels:
        raise UnequalMembers(kernels.reason or "runtime.kernels asks for torch's")
    return chosen, kernels


def _choose(
    settings: Settings, execution: Execution, members: int, saved: str | None, network: nn.Module | None,
    arms: Sequence[Settings],
) -> tuple[Execution, KernelChoice]:  # fmt: skip
    """As `choose_kernels`, whatever the members."""
    asked = settings.runtime.kernels
    if asked == "torch":
        return execution, KernelChoice()
    try:
        if execution.device.type == "cpu":
            operations = _check_kernels(settings, execution, members, network)
        else:
            operations = None
            any_number = asked == "own" or saved == "own"
            _check_block(settings, execution, () if any_number else arms or [settings] * members)
        if saved == "torch" and asked == "auto":
            raise KernelsUnavailable("its first epochs used torch's")
    except KernelsUnavailable as error:
        if asked == "own":
            raise error.as_settings_error() from error
        return execution, KernelChoice(str(error))
    return replace(execution, own_kernels=True), KernelChoice(operations=operations)


def make_backend(
    cohort: Cohort,
    batches: CohortBatches,
    settings: Settings,
    execution: Execution,
    unstacked_reason: str | None = None,
    kernels: KernelChoice | None = None,
    own_loss: LossOf | None = None,
    arms: Sequence[Settings] = (),
    teacher: Teacher | None = None,
) -> tuple[StepBackend, BackendInfo]:
    """Make the fastest backend that can execute the cohort's steps.

    Args:
        unstacked_reason: from `build_cohort`, for the record.
        kernels: from `choose_kernels`.
        own_loss: loss of the user.
        arms: settings of each member. Without them all have `settings`.
        teacher: of the run, see `loss.distill`.

    Raises:
        UnequalMembers: as `choose_kernels`.
    """
    stochastic = isinstance(settings.model, CustomModel)
    eager = EagerBackend(
        cohort, batches, settings.loss.label_smoothing, execution, stochastic_forward=stochastic, teacher=teacher
    )
    if settings.adversarial.eps:
        normalizer = batches.split.normalizer
        eager.adversary = Adversary(settings.adversarial, cohort, normalizer, batches.seeds, execution)
    kernels = kernels or KernelChoice()
    info = BackendInfo(
        len(cohort.networks), cohort.stacked is not None, eager_reason=unstacked_reason, kernels_reason=kernels.reason
    )
    if (reason := plain_reason(settings)) is not None:
        plain = PlainBackend(
            cohort, batches, eager.label_smoothing, execution, own_loss=own_loss, adversary=eager.adversary,
            teacher=teacher,
        )  # fmt: skip
        on_gpu = execution.device.type != "cpu"
        return plain, replace(info, eager_reason=f"torch's own loop for the {reason}" if on_gpu else None)
    if execution.own_kernels and execution.device.type == "cpu":
        return KernelBackend(eager, kernels.operations), replace(info, own_kernels=True)
    if execution.own_kernels:
        try:
            return _block_backend(eager, arms or [settings] * len(cohort.networks)), replace(info, own_kernels=True)
        except KernelsUnavailable as error:
            if settings.runtime.kernels == "own":
                raise error.as_settings_error() from error
            if are_mixed(arms):
                raise UnequalMembers(str(error)) from error
            info = replace(info, kernels_reason=str(error))
    if execution.device.type == "cpu":
        return linear_head_backend(eager) or eager, info
    if settings.runtime.compile:
        return eager, replace(info, eager_reason=unstacked_reason or "runtime.compile launches its own kernels")
    try:
        return CudaGraphBackend(eager), replace(info, captured=True)
    except NotCapturedError as error:
        return eager, replace(info, eager_reason="; ".join(filter(None, (unstacked_reason, str(error)))))


def _check_block(settings: Settings, execution: Execution, arms: Sequence[Settings]) -> None:
    """Check that the block kernel can train such runs on this GPU, and these faster than torch. Empty: any number.

    Raises:
        KernelsUnavailable: it cannot, or is slower.
    """
    check_settings(settings)
    if arms:
        check_cohort(arms, len(arms))
    check_gpu(execution.device)


def _check_kernels(
    settings: Settings, execution: Execution, members: int, network: nn.Module | None
) -> Operations | None:
    """Operations of a custom network. None for a built-in one, whose graph is read later.

    Raises:
        KernelsUnavailable: this project's kernels cannot train such runs on this machine.
    """
    if (reason := kernels_reason(settings)) is not None:
        raise KernelsUnavailable(f"there are none for the {reason}")
    model, facts = settings.model, facts_of(settings.model)
    name = model.name.rpartition("/")[2]
    if not isinstance(model, CustomModel) and (facts is None or not facts.own_kernels):
        raise KernelsUnavailable(f"there are none for {name}")
    if execution.bf16:
        raise KernelsUnavailable("there are none for bf16")
    if settings.runtime.compile:
        raise KernelsUnavailable("runtime.compile generates others")
    sizes = (settings.data.side(), settings.model.input_size or IMAGE_SIDE)
    if (side := next((each for each in sizes if each != IMAGE_SIDE), None)) is not None:
        raise KernelsUnavailable(f"there are none for {side} × {side} pixels")
    if members > 1:
        raise KernelsUnavailable("runs that train together are stacked by torch")
    if fine_tunes(settings):
        raise KernelsUnavailable("there are none for frozen layers")
    operations = None
    if isinstance(model, CustomModel):
        if network is None or model.aux_weights is not None:
            raise KernelsUnavailable(f"there are none for {name}")
        operations = recognised_operations(network)
    step_function()
    return operations


def _block_backend(eager: EagerBackend, arms: Sequence[Settings]) -> BlockBackend:
    """Make the backend of a cohort on a GPU.

    Args:
        eager: cohort, batches and loss.
        arms: settings of each member.

    Raises:
        KernelsUnavailable: the kernel cannot train this cohort, or cannot be compiled.
    """
    for arm in arms:
        check_settings(arm)
    last = getattr(eager.cohort.networks[0], "fc3", None)
    classes = last.out_features if isinstance(last, nn.Linear) else 0
    if not 2 <= classes <= MOST_CLASSES:
        raise KernelsUnavailable(f"there are none on a GPU for {classes} classes")
    kernel = GpuKernel(eager.execution.device, MODELS[arms[0].model.name], classes, parts_of(arms))
    try:
        smoothings = [arm.loss.label_smoothing for arm in arms]
        return BlockBackend(eager, kernel, optimizers_of(eager.cohort), classes, smoothings)
    except ValueError as error:
        raise KernelsUnavailable(f"there are none on a GPU for {error}") from error
