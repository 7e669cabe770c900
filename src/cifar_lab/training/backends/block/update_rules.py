"""Update rule of a member for the block kernel, from the settings of its optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from cifar_lab.config import SGD, Adam, Muon
from cifar_lab.config.training import OtherAdam, OtherSGD
from cifar_lab.training.backends.block.jobs import KINDS
from cifar_lab.training.cohort import Cohort
from cifar_lab.training.optim.parameter_groups import GroupValues, group_values

BlockOptimizer: TypeAlias = SGD | Adam | Muon
"""Settings of an optimizer that the kernel knows. AdamW is an Adam."""

MATRICES = ("conv1.weight", "conv2.weight", "fc1.weight", "fc2.weight")
"""Parameters that Muon updates, as `is_matrix` in parameters.cuh."""


def optimizers_of(cohort: Cohort) -> list[BlockOptimizer]:
    """Settings of each member's optimizer, in whose groups are the rates of its layers."""
    given = (cohort.optimizer.settings_of(k) for k in range(len(cohort.networks)))
    return [settings for settings in given if isinstance(settings, SGD | Adam | Muon)]


def elementwise(settings: BlockOptimizer) -> SGD | OtherSGD | OtherAdam:
    """The rule that updates each number by itself: of all parameters, or beside Muon of those that are no matrices."""
    return settings.others if isinstance(settings, Muon) else settings


def has_squares(settings: BlockOptimizer) -> bool:
    """Whether the state has running means of squared gradients."""
    return isinstance(elementwise(settings), OtherAdam)


def rule_fields(settings: BlockOptimizer, names: Sequence[str], order: Sequence[str]) -> Mapping[str, Any]:
    """Fields of `BlockMember` that the optimizer decides.

    Args:
        names: parameters of the network.
        order: the same in the order of the kernel.
    """
    values = _values(settings, names)
    fields = {
        "factors": tuple(values[name].lr_factor for name in order),
        "decays": tuple(values[name].weight_decay for name in order),
        "clip_norm": settings.clip_norm or 0.0,
        **_elementwise_fields(elementwise(settings)),
    }
    if isinstance(settings, Muon):
        fields |= {
            "matrix_momentum": settings.momentum,
            "matrix_nesterov": settings.nesterov,
            "iterations": settings.ns_steps,
        }
    return fields


def _elementwise_fields(rule: SGD | OtherSGD | OtherAdam) -> Mapping[str, Any]:
    if isinstance(rule, OtherAdam):
        return {"kind": KINDS[rule.name], "momentum": rule.betas[0], "beta2": rule.betas[1], "eps": rule.eps}
    return {"kind": KINDS["nesterov" if rule.nesterov else "sgd"], "momentum": rule.momentum}


def _values(settings: BlockOptimizer, names: Sequence[str]) -> Mapping[str, GroupValues]:
    """Factor of the member's learning rate and weight decay of each parameter."""
    own = dict(zip(names, group_values(settings, names), strict=True))
    if not isinstance(settings, Muon):
        return own
    rule = settings.others
    others = zip(names, group_values(settings, names, rule.weight_decay), strict=True)
    ratio = rule.lr / settings.lr
    beside = {name: value._replace(lr_factor=ratio * value.lr_factor) for name, value in others}
    return {name: own[name] if name in MATRICES else beside[name] for name in names}
