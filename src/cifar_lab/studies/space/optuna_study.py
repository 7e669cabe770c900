"""Translation of axes and points to Optuna's distributions and parameters. Optuna is imported on use."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cifar_lab.core.errors import SettingsError
from cifar_lab.studies.space.axes import Axis, Choices, Interval
from cifar_lab.studies.space.points import dotted

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def import_optuna() -> ModuleType:
    """Import Optuna.

    Raises:
        SettingsError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise SettingsError("Optuna is not installed; give: pip install 'cifar-lab[optuna]'") from error
    return optuna


@contextlib.contextmanager
def quiet_optuna() -> Iterator[ModuleType]:
    """Optuna without its log line per study."""
    optuna = import_optuna()
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield optuna
    finally:
        optuna.logging.set_verbosity(before)


def distributions_of(axes: list[Axis]) -> dict[str, BaseDistribution]:
    """Distribution by name of the axis. A list of options is categorical."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, BaseDistribution] = {}
    for axis in axes:
        if isinstance(axis, Choices):
            found[axis.name] = CategoricalDistribution(tuple(_categories(axis)))
        elif axis.whole:
            found[axis.name] = IntDistribution(int(axis.low), int(axis.high), log=axis.log)
        else:
            found[axis.name] = FloatDistribution(axis.low, axis.high, log=axis.log)
    return found


def values_of(params: Mapping[str, Any], axes: list[Axis]) -> dict[str, Any]:
    """Values of a point by dotted key, from the parameters of a trial."""
    values: dict[str, Any] = {}
    for axis in axes:
        if isinstance(axis, Interval):
            values[axis.name] = axis.rounded(params[axis.name])
        else:
            values |= axis.options[_categories(axis).index(params[axis.name])]
    return values


def params_of(values: Mapping[str, Any], axes: list[Axis]) -> dict[str, Any]:
    """Parameters of a trial by name of the axis, from the values of a point.

    Raises:
        ValueError: the point is not of this space.
    """
    params: dict[str, Any] = {}
    for axis in axes:
        if isinstance(axis, Interval):
            params[axis.name] = values[axis.name]
        else:
            own = {key: values[key] for key in axis.options[0]}
            params[axis.name] = _categories(axis)[axis.options.index(own)]
    return params


def _categories(axis: Choices) -> list[Any]:
    """Options as Optuna stores them: their values if plain and distinct, else text."""
    if any(len(option) != 1 for option in axis.options):
        return [dotted(option) for option in axis.options]
    values = [value for option in axis.options for value in option.values()]
    is_plain = all(value is None or isinstance(value, bool | int | float | str) for value in values)
    return values if is_plain and len(set(values)) == len(values) else [json.dumps(value) for value in values]
