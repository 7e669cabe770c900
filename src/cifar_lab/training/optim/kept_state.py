"""State of an optimizer of any class as plain values for a checkpoint, exact to the bit.

torch's `load_state_dict` casts the state to the type of the parameters, and it keeps no attributes.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

KIND = "kind of value"
"""Key of a mapping that stands for a value of another kind."""


@cache
def _of_torch() -> frozenset[str]:
    """Attributes of every optimizer that a new one has too. torch imports its compiler to make the first optimizer."""
    return frozenset(vars(torch.optim.SGD([nn.Parameter(torch.zeros(1))]))) - {"state", "param_groups"}


def kept(optimizer: Optimizer, parameters: Sequence[Tensor]) -> dict[str, Any]:
    """CPU copy of all state of an optimizer that a checkpoint can keep: `state`, groups and attributes."""
    return _attributes(optimizer, _Known(parameters))


def restore(optimizer: Optimizer, saved: dict[str, Any], parameters: Sequence[Tensor]) -> None:
    """Restore what `kept` returned, in place where a mapping or a list is there.

    Raises:
        ValueError: it belongs to an optimizer with other groups.
    """
    groups = saved.get("param_groups")
    if not isinstance(groups, list) or len(groups) != len(optimizer.param_groups):
        raise ValueError("the saved optimizer has other groups of parameters")
    _set_attributes(optimizer, saved, parameters)


class _Known:
    """Parameters of a network by identity."""

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.device = parameters[0].device.type
        self._numbers = {id(each): number for number, each in enumerate(parameters)}

    def number(self, value: object) -> int | None:
        return self._numbers.get(id(value))


def _attributes(optimizer: Optimizer, known: _Known) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in vars(optimizer).items():
        if name not in _of_torch():
            try:
                found[name] = _encoded(value, known)
            except TypeError:
                continue
    return found


def _set_attributes(optimizer: Optimizer, saved: dict[str, Any], parameters: Sequence[Tensor]) -> None:
    present = vars(optimizer)
    for name, value in saved.items():
        present[name] = _decoded(value, present.get(name), parameters)


def _encoded(value: Any, known: _Known) -> Any:
    """Copy of a value. Raises TypeError for one that a checkpoint cannot keep."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if (number := known.number(value)) is not None:
        return {KIND: "parameter", "number": number}
    if isinstance(value, Tensor):
        copy = value.detach().to("cpu", copy=True)
        return copy if value.device.type == known.device else {KIND: "host tensor", "value": copy}
    if type(value) in (list, tuple):
        return type(value)(_encoded(each, known) for each in value)
    if isinstance(value, dict):
        return {
            KIND: "mapping",
            "items": [(_encoded(key, known), _encoded(each, known)) for key, each in value.items()],
        }
    if isinstance(value, torch.Generator):
        return {KIND: "generator", "state": value.get_state()}
    if isinstance(value, Optimizer):
        return {KIND: "optimizer", "attributes": _attributes(value, known)}
    raise TypeError(f"a {type(value).__name__} is not kept")


def _decoded(value: Any, present: Any, parameters: Sequence[Tensor]) -> Any:
    if isinstance(value, Tensor):
        return value.to(parameters[0].device, copy=True)
    if isinstance(value, list | tuple):
        return _sequence(value, present, parameters)
    return _of_kind(value, present, parameters) if isinstance(value, dict) else value


def _sequence(value: Any, present: Any, parameters: Sequence[Tensor]) -> Any:
    old = present if isinstance(present, list | tuple) and len(present) == len(value) else [None] * len(value)
    items = [_decoded(each, was, parameters) for each, was in zip(value, old, strict=True)]
    if isinstance(present, list):
        present[:] = items
        return present
    return type(value)(items)


def _of_kind(value: dict[str, Any], present: Any, parameters: Sequence[Tensor]) -> Any:
    kind = value[KIND]
    if kind == "parameter":
        return parameters[value["number"]]
    if kind == "host tensor":
        return value["value"].clone()
    if kind == "mapping":
        return _mapping(value["items"], present, parameters)
    if kind == "generator" and isinstance(present, torch.Generator):
        present.set_state(value["state"])
    if kind == "optimizer" and isinstance(present, Optimizer):
        _set_attributes(present, value["attributes"], parameters)
    return present


def _mapping(items: Sequence[tuple[Any, Any]], present: Any, parameters: Sequence[Tensor]) -> Any:
    into: MutableMapping[Any, Any] = present if isinstance(present, MutableMapping) else {}
    old = dict(into)
    into.clear()
    for saved_key, each in items:
        key = _decoded(saved_key, None, parameters)
        into[key] = _decoded(each, old.get(key), parameters)
    return into
