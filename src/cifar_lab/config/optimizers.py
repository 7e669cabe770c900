"""Settings of the optimizers that torch executes: those of torch.optim, and your own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from cifar_lab.config.roles import CodeName, Component, Mark, Role, Section


@dataclass(frozen=True, kw_only=True)
class OptimizerComponent(Component):
    """Registry entry of an optimizer. Its maker takes the settings of the members, their parameters and the form."""

    step_rule: str = ""
    """Optimizers of one rule, `sgd` or `adam`, make steps of one length at one learning rate. Empty is another rule."""
    arguments: tuple[str, ...] = ()
    """Arguments of a class of torch.optim that `options` may state."""
    decays: bool = True
    """Whether it has weight decay."""
    grouped: bool = True
    """Whether its parameters may form groups."""


class ParameterGroup(Section):
    """Parameters with another learning rate or weight decay, as torch's parameter groups."""

    default_role: ClassVar[Role] = Role.MEMBER

    match: str = Field(min_length=1, max_length=500)
    """Regular expression that is searched in the names of the parameters, such as `bias` or `^fc3`."""
    lr_factor: float = Field(1.0, ge=0)
    """Factor of the learning rate at each step. 0 keeps the parameters as they are."""
    weight_decay: float | None = Field(None, ge=0)
    """Weight decay in place of that of the optimizer. Null is that of the optimizer."""


class UpdateOptions(Section):
    """Settings of an update rule."""

    default_role: ClassVar[Role] = Role.MEMBER

    lr: float = Field(0.001, gt=0)
    """Learning rate per step, before the scheduler changes it."""
    weight_decay: float = Field(0.0, ge=0)
    """SGD, Adam: factor of the L2 penalty added to the gradient. AdamW: decoupled decay, multiplied by lr in each
    step."""


class OptimizerOptions(UpdateOptions):
    """Settings of every optimizer. Each member of a cohort has its own optimizer."""

    component: ClassVar[OptimizerComponent]

    groups: Annotated[tuple[ParameterGroup, ...], Field(strict=False, max_length=100), Mark.LATER] = ()
    """Groups of parameters with another learning rate or weight decay (arXiv:1812.01187 for no decay of biases). A
    parameter belongs to the first group whose `match` is found in its name."""
    clip_norm: Annotated[float | None, Mark.LATER] = Field(None, gt=0)
    """Largest norm of the gradients of all parameters together. Larger ones are scaled down to it in each step
    (arXiv:1211.5063). Null: no limit."""


class TorchOptimizer(OptimizerOptions):
    """Settings of an optimizer of torch.optim, which trains one run per process. `lr` has torch's default."""

    default_role: ClassVar[Role] = Role.SHARED

    weight_decay: float = Field(0.0, ge=0)
    """Argument `weight_decay` of the class in torch.optim."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the class in torch.optim, by name. A list stands for a tuple."""


FORMS = ("foreach", "maximize", "differentiable")
"""Arguments of almost every class of torch.optim."""


class Adadelta(TorchOptimizer):
    """torch.optim.Adadelta (arXiv:1212.5701)."""

    component = OptimizerComponent(
        maker="from_torch:Adadelta", label="Adadelta", arguments=("rho", "eps", "capturable", *FORMS)
    )
    name: Literal["adadelta"]
    lr: float = Field(1.0, gt=0)


class Adafactor(TorchOptimizer):
    """torch.optim.Adafactor (arXiv:1804.04235), in torch's form with decoupled weight decay."""

    component = OptimizerComponent(
        maker="from_torch:Adafactor", label="Adafactor", arguments=("beta2_decay", "eps", "d", "foreach", "maximize")
    )
    name: Literal["adafactor"]
    lr: float = Field(0.01, gt=0)


class Adagrad(TorchOptimizer):
    """torch.optim.Adagrad (Duchi et al. 2011)."""

    component = OptimizerComponent(
        maker="from_torch:Adagrad",
        label="Adagrad",
        arguments=("lr_decay", "initial_accumulator_value", "eps", "fused", *FORMS),
    )
    name: Literal["adagrad"]
    lr: float = Field(0.01, gt=0)


class Adamax(TorchOptimizer):
    """torch.optim.Adamax (arXiv:1412.6980, section 7.1)."""

    component = OptimizerComponent(
        maker="from_torch:Adamax", label="Adamax", arguments=("betas", "eps", "capturable", *FORMS)
    )
    name: Literal["adamax"]
    lr: float = Field(0.002, gt=0)


class ASGD(TorchOptimizer):
    """torch.optim.ASGD (Polyak and Juditsky 1992). The trained weights are those of the last step, not their mean."""

    component = OptimizerComponent(
        maker="from_torch:ASGD", label="ASGD", arguments=("lambd", "alpha", "t0", "capturable", *FORMS)
    )
    name: Literal["asgd"]
    lr: float = Field(0.01, gt=0)


class NAdam(TorchOptimizer):
    """torch.optim.NAdam (Dozat 2016)."""

    component = OptimizerComponent(
        maker="from_torch:NAdam",
        label="NAdam",
        arguments=("betas", "eps", "momentum_decay", "decoupled_weight_decay", "capturable", *FORMS),
    )
    name: Literal["nadam"]
    lr: float = Field(0.002, gt=0)


class RAdam(TorchOptimizer):
    """torch.optim.RAdam (arXiv:1908.03265)."""

    component = OptimizerComponent(
        maker="from_torch:RAdam",
        label="RAdam",
        arguments=("betas", "eps", "decoupled_weight_decay", "capturable", *FORMS),
    )
    name: Literal["radam"]


class RMSprop(TorchOptimizer):
    """torch.optim.RMSprop (Hinton 2012)."""

    component = OptimizerComponent(
        maker="from_torch:RMSprop",
        label="RMSprop",
        arguments=("alpha", "eps", "momentum", "centered", "capturable", *FORMS),
    )
    name: Literal["rmsprop"]
    lr: float = Field(0.01, gt=0)


class Rprop(TorchOptimizer):
    """torch.optim.Rprop (Riedmiller and Braun 1993). `lr` is the first step size, so no schedule changes it."""

    component = OptimizerComponent(
        maker="from_torch:Rprop",
        label="Rprop",
        arguments=("etas", "step_sizes", "capturable", *FORMS),
        decays=False,
    )
    name: Literal["rprop"]
    lr: float = Field(0.01, gt=0)


class LBFGS(TorchOptimizer):
    """torch.optim.LBFGS (Liu and Nocedal 1989). It evaluates each batch several times."""

    component = OptimizerComponent(
        maker="from_torch:LBFGS",
        label="L-BFGS",
        arguments=(
            "max_iter", "max_eval", "tolerance_grad", "tolerance_change", "history_size", "line_search_fn", "maximize",
        ),
        decays=False,
        grouped=False,
    )  # fmt: skip
    name: Literal["lbfgs"]
    lr: float = Field(1.0, gt=0)


class CustomOptimizer(OptimizerOptions):
    """Your `torch.optim.Optimizer`, or one of a package. It trains one run per process."""

    default_role: ClassVar[Role] = Role.SHARED
    component = OptimizerComponent(maker="from_torch:of_user")

    weight_decay: float = Field(0.0, ge=0)
    """Argument `weight_decay` of the class, where its signature takes it."""
    name: CodeName
    """`path/to/file.py:NAME` with the path relative to the settings file, or `package.module:NAME`. The class is called
    with the parameters of the network, with `lr` and `weight_decay` where its signature takes them, and with `options`.
    The id of a run includes its source, as that of a model."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the class, by name. A list stands for a tuple."""
