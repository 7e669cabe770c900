"""Learning rates by layer, as groups of parameters: `fine_tune` and `optimizer.groups` together."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from cifar_lab.config import OptimizerOptions, ParameterGroup
from cifar_lab.config.fine_tune import FineTune
from cifar_lab.models.layer_order import NetworkLayer
from cifar_lab.training.optim.parameter_groups import groups_by_name

AnyOptimizer = TypeVar("AnyOptimizer", bound=OptimizerOptions)


def with_layer_rates(
    settings: AnyOptimizer, tuning: FineTune, layers: Sequence[NetworkLayer], names: Sequence[str],
    frozen: Collection[str],
) -> AnyOptimizer:  # fmt: skip
    """The optimizer with a group per parameter that trains now, in which all factors are multiplied.

    Args:
        layers: from the input to the head.
        names: parameters that train in any epoch.
        frozen: those of them that do not train now.

    Raises:
        SettingsError: a group of the settings has no parameter.
    """
    if not tuning.scales_rates and not (settings.groups and frozen):
        return settings
    factors = layer_factors(tuning, layers)
    groups = tuple(
        ParameterGroup.model_construct(
            match=f"^{re.escape(name)}$",
            lr_factor=(1.0 if group is None else group.lr_factor) * factors.get(name, 1.0),
            weight_decay=None if group is None else group.weight_decay,
        )
        for name, group in zip(names, groups_by_name(settings, names), strict=True)
        if name not in frozen
    )
    return settings.model_copy(update={"groups": groups})


def layer_factors(tuning: FineTune, layers: Sequence[NetworkLayer]) -> Mapping[str, float]:
    """Factor of the learning rate of each parameter, by its name: layer_decay^depth, the head at depth 0."""
    return {
        name: tuning.layer_decay**depth * (1.0 if depth else tuning.head_lr_factor)
        for depth, layer in enumerate(reversed(layers))
        for name in layer.parameters
    }
