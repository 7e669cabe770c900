"""Settings of the learning-rate schedule: the usual ones, and the union of all."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Tag

from cifar_lab.config.roles import Component, DefaultsTo, IdleUnless, Probability, tag_of
from cifar_lab.config.schedulers import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CustomSchedule,
    CyclicLR,
    ExponentialLR,
    Linear,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    Piecewise,
    PolynomialLR,
    SchedulerOptions,
    StepLR,
    Trapezoid,
    Triangular,
    WarmUp,
)


class NoSchedule(WarmUp):
    """A constant learning rate."""

    component = Component(maker="rates:ConstantRate")
    name: Literal["none"] = "none"


class Plateau(WarmUp):
    """torch's ReduceLROnPlateau: the learning rate is cut when a number stops improving. Updated at the end of each
    epoch."""

    component = Component(maker="rates:PlateauRate")
    name: Literal["plateau"]
    monitor: Literal["train_loss", "val_loss", "val_accuracy"] = "train_loss"
    """The monitored number: the epoch's mean training loss, or the loss or accuracy of the validation split."""
    factor: float = Field(0.1, gt=0, lt=1)
    """Factor of the learning rate at a cut."""
    patience: int = Field(5, ge=0)
    """Epochs without improvement that are tolerated."""
    threshold: float = Field(1e-4, ge=0)
    """Relative change that counts as an improvement."""
    cooldown: int = Field(0, ge=0)
    """Epochs after a cut that do not count as epochs without improvement."""
    min_lr: float = Field(0.0, ge=0)
    """Lower bound of the learning rate."""


class Step(WarmUp):
    """torch's StepLR: the learning rate is cut every few epochs."""

    component = Component(maker="rates:StepRate")
    name: Literal["step"]
    step_epochs: int = Field(3, ge=1)
    """Epochs between cuts."""
    gamma: float = Field(0.1, gt=0, le=1)
    """Factor of the learning rate at each cut."""


class Cosine(WarmUp):
    """Half a cosine from lr to min_lr over all steps (arXiv:1608.03983, without restarts). Updated at each step."""

    component = Component(maker="rates:CosineRate")
    name: Literal["cosine"]
    min_lr: float = Field(0.0, ge=0)
    """Learning rate at the end."""


class OneCycle(SchedulerOptions):
    """torch's OneCycleLR (arXiv:1708.07120, cosine form): the rate rises, then falls to almost zero. Updated at each
    step."""

    component = Component(maker="rates:OneCycleRate", label="one-cycle")
    name: Literal["one_cycle"]
    max_lr: Annotated[float | None, DefaultsTo("optimizer.lr")] = Field(None, gt=0)
    """Learning rate at the peak; null is optimizer.lr."""
    pct_start: float = Field(0.3, gt=0, lt=1)
    """Share of the steps in which the learning rate rises."""
    div_factor: float = Field(25.0, ge=1)
    """First learning rate = max_lr / div_factor."""
    final_div_factor: float = Field(1e4, ge=1)
    """Last learning rate = first learning rate / final_div_factor."""
    cycle_momentum: bool = True
    """Change momentum (SGD) or the first beta (Adam, AdamW) inversely to the learning rate, between base_momentum and
    max_momentum."""
    base_momentum: Annotated[Probability, IdleUnless("cycle_momentum")] = 0.85
    """Momentum at the peak of the learning rate."""
    max_momentum: Annotated[Probability, IdleUnless("cycle_momentum")] = 0.95
    """Momentum at both ends."""


Scheduler = Annotated[
    Annotated[NoSchedule, Tag("none")]
    | Annotated[Plateau, Tag("plateau")]
    | Annotated[Step, Tag("step")]
    | Annotated[Cosine, Tag("cosine")]
    | Annotated[OneCycle, Tag("one_cycle")]
    | Annotated[Linear, Tag("linear")]
    | Annotated[Triangular, Tag("triangular")]
    | Annotated[Trapezoid, Tag("trapezoid")]
    | Annotated[Piecewise, Tag("piecewise")]
    | Annotated[StepLR, Tag("steplr")]
    | Annotated[MultiStepLR, Tag("multisteplr")]
    | Annotated[ExponentialLR, Tag("exponentiallr")]
    | Annotated[CosineAnnealingLR, Tag("cosineannealinglr")]
    | Annotated[CosineAnnealingWarmRestarts, Tag("cosineannealingwarmrestarts")]
    | Annotated[OneCycleLR, Tag("onecyclelr")]
    | Annotated[CyclicLR, Tag("cycliclr")]
    | Annotated[LinearLR, Tag("linearlr")]
    | Annotated[PolynomialLR, Tag("polynomiallr")]
    | Annotated[ConstantLR, Tag("constantlr")]
    | Annotated[CustomSchedule, Tag("custom")],
    tag_of("none"),
]
