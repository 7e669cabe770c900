"""Rules of conditions in a sweep file: known values, no ranges, no cycles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cifar_lab.config.io.messages import show
from cifar_lab.config.io.nearest_name import did_you_mean
from cifar_lab.config.io.same_value import depends_on_others, same_value
from cifar_lab.config.io.tree import Node, axis_parts, is_range, plain
from cifar_lab.config.io.values import Check


@dataclass(frozen=True)
class AxisCondition:
    """Condition of an axis of a sweep file."""

    key: str
    """Its key in the file."""
    settings: tuple[str, ...]
    """Dotted keys that the axis sets."""
    node: Node


def condition_rules(check: Check, conditions: Iterable[AxisCondition], axes: Mapping[str, Node]) -> None:
    """Report conditions on ranges, on values that no point has, and conditions that depend on one another.

    Args:
        axes: node of each axis by the dotted key that it sets.
    """
    read: dict[str, set[str]] = {}
    places: dict[str, tuple[str, Node]] = {}
    for condition in conditions:
        if condition.node.broken or not isinstance(condition.node.value, dict):
            continue
        for key, node in condition.node.value.items():
            if key in axes and not node.broken:
                _check_values(check, f"{condition.key}.{key}", key, node, axes[key])
        for setting in condition.settings:
            read.setdefault(setting, set()).update(condition.node.value)
            places.setdefault(setting, (condition.key, condition.node))
    for cycle in _cycles(read):
        key, node = places[cycle[0]]
        words = " → ".join([*cycle, cycle[0]])
        remedy = "a key cannot depend on itself" if len(cycle) == 1 else f"the conditions depend on each other: {words}"
        check.report(node, key, f"{remedy}; remove one of them")


def _check_values(check: Check, here: str, key: str, node: Node, axis: Node) -> None:
    if is_range(axis):
        check.report(node, here, f"{key} is a range here, so no single value can be a condition; give it a list")
        return
    if depends_on_others(key):
        return  # the points are known later
    known = [value for _, part in axis_parts(axis) for value in _values_of(part)]
    if any(same_value(key, plain(node), value) for value in known):
        return
    for index, item in enumerate(node.value if isinstance(node.value, list) else [node]):
        if not item.broken and not any(same_value(key, plain(item), value) for value in known):
            at = f"{here}[{index}]" if isinstance(node.value, list) else here
            words = [str(value) for value in known]
            near = did_you_mean(str(plain(item)), words) or f"; its values are {', '.join(words)}"
            check.report(item, at, f"no point has {show(item)} here{near}")


def _values_of(part: Node) -> list[Any]:
    values = part.value.get("values") if isinstance(part.value, dict) else part
    found = plain(values) if values is not None else []
    return found if isinstance(found, list) else []


def _cycles(read: Mapping[str, set[str]]) -> Iterator[Sequence[str]]:
    """Keys that depend on themselves through conditions, each cycle once."""
    told: set[frozenset[str]] = set()
    for start in read:
        path = _path(read, start, start, ())
        if path and frozenset(path) not in told:
            told.add(frozenset(path))
            yield path


def _path(read: Mapping[str, set[str]], key: str, goal: str, before: tuple[str, ...]) -> tuple[str, ...]:
    """Keys from `key` back to `goal`. Empty without a way."""
    before = (*before, key)
    for below in sorted(read.get(key, ())):
        if below == goal:
            return before
        if below not in before and (found := _path(read, below, goal, before)):
            return found
    return ()
