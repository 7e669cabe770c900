"""Settings of the schedules that are lines between corners, and of those of torch and your own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

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


Share = Annotated[float, Field(ge=0, le=1)]
Factor = Annotated[float, Field(ge=0)]
Point = Annotated[tuple[Share, Factor], Field(strict=False)]
"""Share of the steps, and factor of `optimizer.lr` there."""

Corners = tuple[tuple[float, float], ...]
"""Points from share 0 to share 1, with straight lines between them."""


class CornerSchedule(SchedulerOptions):
    """Settings of a schedule that its corners define."""

    def corners(self) -> Corners:
        """Corners without a warm-up."""
        raise NotImplementedError


class Linear(CornerSchedule, WarmUp):
    """A straight line from lr to 0 over all steps (arXiv:1905.04753). Updated at each step."""

    component = Component(maker="piecewise:LinearRate")
    name: Literal["linear"]

    def corners(self) -> Corners:
        return (0.0, 1.0), (1.0, 0.0)


class Triangular(CornerSchedule):
    """From 0 to lr and back to 0 in straight lines (arXiv:1801.06146). Updated at each step."""

    component = Component(maker="piecewise:TriangularRate")
    name: Literal["triangular"]
    peak_at: float = Field(0.2, gt=0, lt=1)
    """Share of the steps after which the learning rate is lr."""

    def corners(self) -> Corners:
        return (0.0, 0.0), (self.peak_at, 1.0), (1.0, 0.0)


class Trapezoid(CornerSchedule, WarmUp):
    """A constant lr, then a straight line to 0 (arXiv:1802.08770, arXiv:2405.18392). Updated at each step."""

    component = Component(maker="piecewise:TrapezoidRate")
    name: Literal["trapezoid"]
    decay_fraction: float = Field(0.5, gt=0, le=1)
    """Share of the steps in which the learning rate falls. 1 is `linear`."""

    def corners(self) -> Corners:
        return (0.0, 1.0), (1 - self.decay_fraction, 1.0), (1.0, 0.0)


class Piecewise(CornerSchedule):
    """Straight lines between points that you state. Updated at each step."""

    component = Component(maker="piecewise:PiecewiseRate")
    name: Literal["piecewise"]
    points: Annotated[tuple[Point, ...], Field(strict=False, min_length=2, max_length=1000)] = ((0.0, 1.0), (1.0, 0.0))
    """Points [share of the steps, factor of lr], from share 0 to share 1. `[[0, 0.05], [0.2, 1], [1, 0]]` is a triangle
    that begins at a twentieth of lr. Two points with one share are a jump."""

    def corners(self) -> Corners:
        return self.points


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
