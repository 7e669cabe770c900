"""Our axes and points in Optuna's words, for `tpe` and for the export. Optuna is imported when it is asked for."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cifar_lab.core.errors import SettingsError
from cifar_lab.studies.space.axes import Axis, Choices, Interval
from cifar_lab.studies.space.labels import dotted

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def import_optuna() -> ModuleType:
    """Optuna.

    Raises:
        SettingsError: it is not installed; names the command that installs it.
    """
    try:
        import optuna
    except ImportError as error:
        raise SettingsError("Optuna is not installed; give: pip install 'cifar-lab[optuna]'") from error
    return optuna


@contextlib.contextmanager
def quiet() -> Iterator[ModuleType]:
    """Optuna, which does not tell of each study that it makes."""
    optuna = import_optuna()
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield optuna
    finally:
        optuna.logging.set_verbosity(before)


def distributions_of(axes: list[Axis]) -> dict[str, BaseDistribution]:
    """Name of each axis → its distribution; a list is categorical."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, BaseDistribution] = {}
    for axis in axes:
        if isinstance(axis, Choices):
            found[axis.name] = CategoricalDistribution(tuple(_words(axis)))
        elif axis.whole:
            found[axis.name] = IntDistribution(int(axis.low), int(axis.high), log=axis.log)
        else:
            found[axis.name] = FloatDistribution(axis.low, axis.high, log=axis.log)
    return found


def values_of(params: Mapping[str, Any], axes: list[Axis]) -> dict[str, Any]:
    """What a point sets, as our space says it, from what a trial has: dotted key → value."""
    values: dict[str, Any] = {}
    for axis in axes:
        if isinstance(axis, Interval):
            values[axis.name] = axis.rounded(params[axis.name])
        else:
            values |= axis.options[_words(axis).index(params[axis.name])]
    return values


def params_of(values: Mapping[str, Any], axes: list[Axis]) -> dict[str, Any]:
    """What a trial has of a point: name of each axis → value.

    Raises:
        ValueError: the point is not of this space.
    """
    params: dict[str, Any] = {}
    for axis in axes:
        if isinstance(axis, Interval):
            params[axis.name] = values[axis.name]
        else:
            own = {key: values[key] for key in axis.options[0]}
            params[axis.name] = _words(axis)[axis.options.index(own)]
    return params


def _words(axis: Choices) -> list[Any]:
    """The options as Optuna stores them: their values where those are plain and apart, else in words."""
    values = [next(iter(option.values())) for option in axis.options]
    is_plain = all(len(option) == 1 for option in axis.options) and all(
        value is None or isinstance(value, bool | int | float | str) for value in values
    )
    if is_plain and len(set(values)) == len(values):
        return values
    if all(len(option) == 1 for option in axis.options):
        return [json.dumps(value) for value in values]
    return [dotted(option) for option in axis.options]
