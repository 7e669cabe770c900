"""Settings of the schedules that are computed outside cifar-lab: torch's schedulers, and your own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field

from cifar_lab.config.roles import CodeName, Component, Role, Section


@dataclass(frozen=True, kw_only=True)
class TorchScheduler(Component):
    """Registry entry of a scheduler of torch."""

    arguments: tuple[str, ...]
    """Arguments that `options` may state."""
    required: tuple[str, ...] = ()
    """Those without a default, unless the run fills them in."""


class SchedulerOptions(Section):
    """Base of the schedulers. Each member of a cohort has its own schedule."""

    default_role: ClassVar[Role] = Role.MEMBER
    component: ClassVar[Component]


class WarmUp(SchedulerOptions):
    """Settings of the schedulers that accept a linear warm-up."""

    warmup_epochs: float = Field(0.0, ge=0)
    """Epochs (fractions allowed) in which the learning rate rises linearly from 0 to where the schedule would be."""


class TorchSchedule(SchedulerOptions):
    """Settings of a scheduler of torch.optim.lr_scheduler."""

    default_role: ClassVar[Role] = Role.SHARED
    component: ClassVar[TorchScheduler]

    options: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the class in torch.optim.lr_scheduler, by name. `T_max` and `total_steps` are the number of updates
    of the run, and the `max_lr` of OneCycleLR is optimizer.lr, where they are not stated."""
    every: Literal["epoch", "step"] = "epoch"
    """Time of the scheduler's updates: after each epoch, or after each step."""


class StepLR(TorchSchedule):
    """torch's StepLR."""

    component = TorchScheduler(maker="tables:StepLR", arguments=("step_size", "gamma"), required=("step_size",))
    name: Literal["steplr"]


class MultiStepLR(TorchSchedule):
    """torch's MultiStepLR."""

    component = TorchScheduler(maker="tables:MultiStepLR", arguments=("milestones", "gamma"), required=("milestones",))
    name: Literal["multisteplr"]


class ExponentialLR(TorchSchedule):
    """torch's ExponentialLR."""

    component = TorchScheduler(maker="tables:ExponentialLR", arguments=("gamma",), required=("gamma",))
    name: Literal["exponentiallr"]


class CosineAnnealingLR(TorchSchedule):
    """torch's CosineAnnealingLR (arXiv:1608.03983)."""

    component = TorchScheduler(maker="tables:CosineAnnealingLR", arguments=("T_max", "eta_min"))
    name: Literal["cosineannealinglr"]


class CosineAnnealingWarmRestarts(TorchSchedule):
    """torch's CosineAnnealingWarmRestarts (arXiv:1608.03983)."""

    component = TorchScheduler(
        maker="tables:CosineAnnealingWarmRestarts", arguments=("T_0", "T_mult", "eta_min"), required=("T_0",)
    )
    name: Literal["cosineannealingwarmrestarts"]


class OneCycleLR(TorchSchedule):
    """torch's OneCycleLR (arXiv:1708.07120)."""

    component = TorchScheduler(
        maker="tables:OneCycleLR",
        arguments=(
            "max_lr", "total_steps", "epochs", "steps_per_epoch", "pct_start", "anneal_strategy", "cycle_momentum",
            "base_momentum", "max_momentum", "div_factor", "final_div_factor", "three_phase",
        ),
    )  # fmt: skip
    name: Literal["onecyclelr"]
    every: Literal["epoch", "step"] = "step"


class CyclicLR(TorchSchedule):
    """torch's CyclicLR (arXiv:1506.01186)."""

    component = TorchScheduler(
        maker="tables:CyclicLR",
        arguments=(
            "base_lr", "max_lr", "step_size_up", "step_size_down", "mode", "gamma", "scale_mode", "cycle_momentum",
            "base_momentum", "max_momentum",
        ),
        required=("base_lr", "max_lr"),
    )  # fmt: skip
    name: Literal["cycliclr"]
    every: Literal["epoch", "step"] = "step"


class LinearLR(TorchSchedule):
    """torch's LinearLR."""

    component = TorchScheduler(maker="tables:LinearLR", arguments=("start_factor", "end_factor", "total_iters"))
    name: Literal["linearlr"]


class PolynomialLR(TorchSchedule):
    """torch's PolynomialLR."""

    component = TorchScheduler(maker="tables:PolynomialLR", arguments=("total_iters", "power"))
    name: Literal["polynomiallr"]


class ConstantLR(TorchSchedule):
    """torch's ConstantLR."""

    component = TorchScheduler(maker="tables:ConstantLR", arguments=("factor", "total_iters"))
    name: Literal["constantlr"]


class CustomSchedule(SchedulerOptions):
    """Your function of the step."""

    default_role: ClassVar[Role] = Role.SHARED
    component = Component(maker="tables:OwnRate")

    name: CodeName
    """`path/to/file.py:NAME` or `package.module:NAME`: a function `f(step, total_steps)` that returns the factor of the
    learning rate. Steps count from 0. The id of a run includes its source, as that of a model."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the function, by name."""
