"""Settings of training: loss, optimizer and learning-rate schedule."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from cifar_lab.config.optimizers import (
    ASGD,
    LBFGS,
    Adadelta,
    Adafactor,
    Adagrad,
    Adamax,
    CustomOptimizer,
    NAdam,
    OptimizerComponent,
    OptimizerOptions,
    RAdam,
    RMSprop,
    Rprop,
    UpdateOptions,
)
from cifar_lab.config.roles import CodeName, Component, DefaultsTo, IdleUnless, Mark, Probability, Role, Section
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


class Distill(Section):
    """Distillation: the loss compares the logits with those of a teacher too (Hinton et al. 2015, arXiv:1503.02531)."""

    default_role: ClassVar[Role] = Role.SHARED

    name: Literal["kl"] = "kl"
    teacher: str | None = Field(None, pattern=r"^run:.+$")
    """`run:ID`, the trained network of a finished run in the same results folder. It sees the images as they are
    augmented for the run. Null: no teacher."""
    temperature: Annotated[float, IdleUnless("teacher")] = Field(4.0, gt=0, le=1000)
    """Divisor of both logits before their softmax."""
    weight: Annotated[float, IdleUnless("teacher")] = Field(0.9, gt=0, le=1)
    """Share of the teacher in the loss: (1 − weight) · loss of the labels + weight · temperature² · KL divergence."""


class Loss(Section):
    """Cross-entropy of the logits against the class, averaged over the batch."""

    default_role: ClassVar[Role] = Role.SHARED

    name: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Probability = 0.0
    """Share of the target spread evenly over all classes (arXiv:1512.00567)."""
    distill: Annotated[Distill, Mark.LATER] = Distill()
    """A teacher beside the labels."""


class CustomLoss(Section):
    """Your function of the logits and the labels."""

    default_role: ClassVar[Role] = Role.SHARED
    label_smoothing: ClassVar[float] = 0.0

    name: CodeName
    """`path/to/file.py:NAME` or `package.module:NAME`: a function `f(logits, labels)` that returns the mean loss of the
    batch, from logits (B, classes) and labels (B,), or a `torch.nn.Module` class whose `forward` does so. It is the
    training loss of the record. The validation and the test loss stay cross-entropy. The id of a run includes its
    source, as that of a model."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the function, or those of the class, by name."""


def distillation(loss: Loss | CustomLoss) -> Distill | None:
    """Settings of the teacher. None without one."""
    return loss.distill if isinstance(loss, Loss) and loss.distill.teacher is not None else None


def tag_of(default: str) -> Discriminator:
    """Discriminator of a section with a choice: a built-in name, or `custom` if the name holds a colon."""

    def tag(value: Any) -> str:
        name = value.get("name", default) if isinstance(value, dict) else getattr(value, "name", default)
        return "custom" if isinstance(name, str) and ":" in name else str(name)

    return Discriminator(tag)


AnyLoss = Annotated[
    Annotated[Loss, Tag("cross_entropy")] | Annotated[CustomLoss, Tag("custom")], tag_of("cross_entropy")
]

# --- optimizer --------------------------------------------------------------------------------------------------------


class SGD(OptimizerOptions):
    """Stochastic gradient descent in torch's form: buf ← momentum · buf + grad; w ← w − lr · buf."""

    component = OptimizerComponent(maker="optimizers:CohortSGD", label="SGD", step_rule="sgd")
    name: Literal["sgd"] = "sgd"
    momentum: Probability = 0.9
    """Share of the previous update that is kept. 0: plain SGD."""
    nesterov: bool = False
    """Nesterov momentum. Needs momentum above 0."""


class Adam(OptimizerOptions):
    """Adam (arXiv:1412.6980)."""

    component = OptimizerComponent(maker="optimizers:CohortAdam", label="Adam", step_rule="adam")
    name: Literal["adam"]
    betas: Annotated[tuple[Probability, Probability], Field(strict=False)] = (0.9, 0.999)
    """Decay per step of the running means of the gradient and of its square."""
    eps: float = Field(1e-8, gt=0)
    """Added to the root of the second moment."""


class AdamW(Adam):
    """Adam with decoupled weight decay (arXiv:1711.05101)."""

    component = OptimizerComponent(maker="optimizers:CohortAdamW", label="AdamW", step_rule="adam")
    name: Literal["adamw"]  # type: ignore[assignment]
    weight_decay: float = Field(0.01, ge=0)


class OtherSGD(UpdateOptions):
    """Stochastic gradient descent, with Nesterov momentum by default."""

    name: Literal["sgd"] = "sgd"
    lr: float = Field(0.02, gt=0)
    momentum: Probability = 0.9
    """Share of the previous update that is kept. 0: plain SGD."""
    nesterov: bool = True
    """Nesterov momentum. Needs momentum above 0."""


class OtherAdam(UpdateOptions):
    """Adam (arXiv:1412.6980)."""

    name: Literal["adam"]
    betas: Annotated[tuple[Probability, Probability], Field(strict=False)] = (0.9, 0.999)
    """Decay per step of the running means of the gradient and of its square."""
    eps: float = Field(1e-8, gt=0)
    """Added to the root of the second moment."""


class OtherAdamW(OtherAdam):
    """Adam with decoupled weight decay (arXiv:1711.05101)."""

    name: Literal["adamw"]  # type: ignore[assignment]
    weight_decay: float = Field(0.01, ge=0)


Others = Annotated[
    Annotated[OtherSGD, Tag("sgd")] | Annotated[OtherAdam, Tag("adam")] | Annotated[OtherAdamW, Tag("adamw")],
    tag_of("sgd"),
]


class Muon(OptimizerOptions):
    """Muon (Jordan 2024, kellerjordan.github.io/posts/muon): the momentum of each matrix is orthogonalised by
    Newton–Schulz iterations. It updates linear layers, and convolutions as matrices (outputs, inputs · pixels), except
    for the last layer of the network. `others` updates the rest. The update is scaled by sqrt(outputs / inputs), the
    spectral scale of arXiv:2310.17813. torch.optim.Muon has sqrt(max(1, outputs / inputs)) instead."""

    component = OptimizerComponent(maker="muon:CohortMuon", label="Muon", step_rule="muon")
    name: Literal["muon"]
    lr: float = Field(0.02, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled decay of the matrices, multiplied by lr in each step. `others` has its own."""
    momentum: Probability = 0.95
    """Share of the running mean of the gradient that is kept."""
    nesterov: bool = True
    """Nesterov momentum: the gradient once more beside the running mean."""
    ns_steps: int = Field(5, ge=1, le=20)
    """Newton–Schulz iterations."""
    others: Others = OtherSGD()
    """Optimizer of the biases, of the norms and of the last layer. Its lr follows the schedule in proportion."""


Optimizer = Annotated[
    Annotated[SGD, Tag("sgd")]
    | Annotated[Adam, Tag("adam")]
    | Annotated[AdamW, Tag("adamw")]
    | Annotated[Muon, Tag("muon")]
    | Annotated[Adadelta, Tag("adadelta")]
    | Annotated[Adafactor, Tag("adafactor")]
    | Annotated[Adagrad, Tag("adagrad")]
    | Annotated[Adamax, Tag("adamax")]
    | Annotated[ASGD, Tag("asgd")]
    | Annotated[NAdam, Tag("nadam")]
    | Annotated[RAdam, Tag("radam")]
    | Annotated[RMSprop, Tag("rmsprop")]
    | Annotated[Rprop, Tag("rprop")]
    | Annotated[LBFGS, Tag("lbfgs")]
    | Annotated[CustomOptimizer, Tag("custom")],
    tag_of("sgd"),
]

# --- average of the weights -----------------------------------------------------------------------------------------


class NoAverage(Section):
    """No average: the weights after the last step are evaluated."""

    name: Annotated[Literal["none"], Role.SHARED] = "none"


class Ema(Section):
    """Exponential moving average of the weights over the steps (Polyak and Juditsky 1992, arXiv:2411.18704). The
    statistics of BatchNorm are computed again for it, over at most 10,000 training images."""

    default_role: ClassVar[Role] = Role.MEMBER

    name: Annotated[Literal["ema"], Role.SHARED]
    half_life_epochs: float = Field(0.5, gt=0)
    """Epochs (fractions allowed) after which the share of a step's weights has halved."""
    use: Literal["ema", "last"] = "ema"
    """Weights that are validated, tested and saved: the average, or those after the last step. The accuracy of the
    others is recorded after the last epoch as `accuracy_last` or `accuracy_ema`, and no verdict uses it."""


Average = Annotated[Annotated[NoAverage, Tag("none")] | Annotated[Ema, Tag("ema")], tag_of("none")]

# --- scheduler --------------------------------------------------------------------------------------------------------


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
