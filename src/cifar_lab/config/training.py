"""Settings of training: optimizer, and average of the weights."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, Tag

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
from cifar_lab.config.roles import Probability, Role, Section, tag_of


class SGD(OptimizerOptions):
    """Stochastic gradient descent in torch's form: buf ← momentum · buf + grad; w ← w − lr · buf."""

    component = OptimizerComponent(maker="optimizers:CohortSGD", label="SGD", step_rule="sgd")
    name: Literal["sgd"] = "sgd"
    momentum: Probability = 0.9
    """Share of the previous update that is kept. 0: plain SGD."""
    nesterov: bool = False
    """Nesterov momentum. Needs momentum above 0."""


class OtherAdam(UpdateOptions):
    """Adam (arXiv:1412.6980)."""

    name: Literal["adam"]
    betas: Annotated[tuple[Probability, Probability], Field(strict=False)] = (0.9, 0.999)
    """Decay per step of the running means of the gradient and of its square."""
    eps: float = Field(1e-8, gt=0)
    """Added to the root of the second moment."""


class Adam(OtherAdam, OptimizerOptions):
    """Adam (arXiv:1412.6980)."""

    component = OptimizerComponent(maker="optimizers:CohortAdam", label="Adam", step_rule="adam")


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
