"""Optimizers that torch executes: those of torch.optim and those of the user, over one network."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from cifar_lab import config
from cifar_lab.core.errors import SettingsError
from cifar_lab.models.own_function import OwnCode, parameters_of, tuples
from cifar_lab.training.optim.kept_state import kept, restore
from cifar_lab.training.optim.parameter_groups import GroupValues, group_values

RULE = "rule"
"""Key of the state of the optimizer in a checkpoint."""


class Evaluation(Protocol):
    """One batch, whose loss and gradients can be computed anew."""

    loss: Tensor
    """Of the last evaluation."""

    def __call__(self) -> Tensor:
        """Compute the gradients anew and return the loss."""


class TorchRule:
    """An optimizer of torch's class over the parameters of one network."""

    def __init__(
        self, optimizer: Optimizer, settings: config.OptimizerOptions, parameters: Sequence[Tensor], *, closure: bool
    ) -> None:
        """`closure`: whether its `step` takes one."""
        lr, self._settings = settings.lr, settings
        self.optimizer, self._lr, self._parameters, self._closure = optimizer, lr, list(parameters), closure
        self._clip_norm = settings.clip_norm
        self._first = [group.get("lr") for group in optimizer.param_groups]
        self._last = lr

    def __len__(self) -> int:
        return 1

    def settings_of(self, member: int) -> config.OptimizerOptions:
        """See `CohortOptimizer.settings_of`."""
        return self._settings

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Values of its first group, such as `betas`."""
        return self.optimizer.param_groups[0]

    def clip(self) -> None:
        """Scale the gradients down to `optimizer.clip_norm`."""
        if self._clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, self._clip_norm)

    def update(self, evaluate: Evaluation, lr: float, momentum: float | None) -> None:
        """One step.

        Args:
            evaluate: the batch, which was evaluated with the present parameters.
            lr: learning rate of the step. Groups with another one keep its ratio to `optimizer.lr`.
            momentum: of a schedule that varies it: `momentum`, or the first of `betas`.
        """
        self._set(lr, momentum)
        if self._closure:
            self.optimizer.step(_FirstIsKnown(evaluate, self._parameters))  # type: ignore[arg-type]
        else:
            self.optimizer.step()

    def mode(self, name: Literal["train", "eval"]) -> None:
        """Call `train` or `eval` of an optimizer that has other weights for evaluation (Defazio et al. 2024).

        Reference: A. Defazio et al., The Road Less Scheduled, arXiv 2405.15682.
        """
        if callable(change := getattr(self.optimizer, name, None)):
            change()

    def _set(self, lr: float, momentum: float | None) -> None:
        if lr != self._last:  # an optimizer may change its rate itself where the schedule is constant
            for group, first in zip(self.optimizer.param_groups, self._first, strict=True):
                if first is not None:
                    group["lr"] = lr if first == self._lr else first * (lr / self._lr)
            self._last = lr
        for group in self.optimizer.param_groups if momentum is not None else ():
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            elif "momentum" in group:
                group["momentum"] = momentum

    def step(self, lr: Tensor, momentum: Tensor | None = None) -> None:
        """Update from the gradients of the parameters, as other optimizers do."""
        raise NotImplementedError("the plain backend calls `update`")

    def rows(self, member: int) -> list[Tensor]:
        """See `CohortOptimizer.rows`. torch leaves parameters without a gradient alone itself."""
        return []

    def state(self, member: int) -> dict[str, Any]:
        """See `CohortOptimizer.state`."""
        return {RULE: kept(self.optimizer, self._parameters), "lr": self._last}

    def parts(self, member: int) -> dict[str, Any]:
        """See `CohortOptimizer.parts`. These are copies."""
        return self.state(member)

    def load_state(self, member: int, state: dict[str, Any]) -> None:
        """See `CohortOptimizer.load_state`."""
        if state.keys() != {RULE, "lr"}:
            raise ValueError("the saved state belongs to another optimizer")
        restore(self.optimizer, state[RULE], self._parameters)
        self._last = state["lr"]


class _FirstIsKnown:
    """Closure whose loss is known until the parameters or the gradients change."""

    def __init__(self, evaluate: Evaluation, parameters: Sequence[Tensor]) -> None:
        self._evaluate, self._parameters = evaluate, parameters
        self._known: Tensor | None = evaluate.loss
        self._before = [_copies(each) for each in parameters]

    def __call__(self) -> Tensor:
        known, self._known = self._known, None
        if known is not None and all(map(_is_unchanged, self._parameters, self._before)):
            return known
        with torch.enable_grad():
            return self._evaluate()


def _copies(parameter: Tensor) -> tuple[Tensor, Tensor | None]:
    gradient = parameter.grad
    return parameter.detach().clone(), None if gradient is None else gradient.clone()


def _is_unchanged(parameter: Tensor, before: tuple[Tensor, Tensor | None]) -> bool:
    value, gradient = before
    if (parameter.grad is None) is not (gradient is None) or not torch.equal(parameter.detach(), value):
        return False
    return gradient is None or (parameter.grad is not None and torch.equal(parameter.grad, gradient))


def of_torch(name: str, settings: config.TorchOptimizer, network: nn.Module) -> TorchRule:
    """Make an optimizer of torch.optim.

    Raises:
        SettingsError: an option that it refuses.
    """
    decay = {"weight_decay": settings.weight_decay} if settings.component.decays else {}
    parameters, groups = _trainable(network), grouped(settings, network, decays=settings.component.decays)
    try:
        rule = getattr(torch.optim, name)(groups, lr=settings.lr, **decay, **tuples(settings.options))
    except (TypeError, ValueError, RuntimeError) as error:
        raise SettingsError(
            f"optimizer.options: torch.optim.{name} refuses them: {_line(error)}; correct it"
        ) from error
    return TorchRule(rule, settings, parameters, closure=name == "LBFGS")


NAMES = ("Adadelta", "Adafactor", "Adagrad", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop", "LBFGS")

Adadelta, Adafactor, Adagrad, Adamax, ASGD, NAdam, RAdam, RMSprop, Rprop, LBFGS = (
    partial(of_torch, name) for name in NAMES
)


def of_user(settings: config.CustomOptimizer, network: nn.Module) -> TorchRule:
    """Make an optimizer of the user's class.

    Raises:
        SettingsError: it cannot be imported or made, or is no `torch.optim.Optimizer`.
    """
    own = OwnCode("optimizer.name", settings.name)
    if isinstance(own.called, type) and not issubclass(own.called, Optimizer):
        raise own.refusal("it is no torch.optim.Optimizer; derive the class from it")
    given = _given(own, settings)
    own.check_options({name: given[name] for name in given if name in settings.options or name in OWN_SETTINGS}, 1)
    parameters = _trainable(network)
    groups = grouped(settings, network, decays="weight_decay" in given)
    try:
        rule = own.called(groups, **given)
    except Exception as error:
        raise own.refusal(f"could not be made with {_words(given)}: {own.describe(error)}; correct it") from error
    if not isinstance(rule, Optimizer):
        raise own.refusal(f"it returns a {type(rule).__name__} and not a torch.optim.Optimizer; return the optimizer")
    held = {id(each) for group in rule.param_groups for each in group["params"]}
    if not held & {id(each) for each in parameters}:
        raise own.refusal("it has no parameter of the network; pass the parameters to the constructor of Optimizer")
    return TorchRule(rule, settings, parameters, closure="closure" in (parameters_of(rule.step) or {}))


OWN_SETTINGS = ("lr", "weight_decay")
"""Settings of every optimizer that are passed where the class takes them."""


def _given(own: OwnCode, settings: config.CustomOptimizer) -> dict[str, Any]:
    """Arguments of the user's class. Raises SettingsError for a weight decay that it does not take."""
    taken = parameters_of(own.called) or {}
    any_name = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in taken.values())
    given = tuples(settings.options)
    for name in OWN_SETTINGS:
        value = getattr(settings, name)
        if name in settings.options:
            raise SettingsError(f"optimizer.options: {name} is a separate setting; state optimizer.{name}")
        if name in taken or (any_name and (name == "lr" or value)):
            given[name] = value
        elif name == "weight_decay" and value:
            raise SettingsError(f"optimizer.weight_decay: {own.name} takes no weight_decay; remove it")
    return given


def grouped(settings: config.TorchOptimizer | config.CustomOptimizer, network: nn.Module, *, decays: bool) -> list[Any]:
    """Trainable parameters for a class of torch: a list, or by `optimizer.groups` its groups with their values.

    Args:
        decays: whether the class has weight decay.

    Raises:
        SettingsError: a group has no parameter, or a weight decay that the class does not have.
    """
    named = {name: each for name, each in network.named_parameters() if each.requires_grad}
    if not settings.groups:
        return list(named.values())
    found: dict[GroupValues, list[Tensor]] = {}
    for values, parameter in zip(group_values(settings, list(named)), named.values(), strict=True):
        found.setdefault(values, []).append(parameter)
    for number, group in enumerate(settings.groups):
        if group.weight_decay and not decays:
            raise SettingsError(
                f"optimizer.groups[{number}].weight_decay: the optimizer takes no weight_decay; remove it"
            )
    return [
        {"params": parameters, "lr": settings.lr * values.lr_factor}
        | ({"weight_decay": values.weight_decay} if decays else {})
        for values, parameters in found.items()
    ]


def _trainable(network: nn.Module) -> list[Tensor]:
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def _words(given: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in given.items()) or "no arguments"


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
