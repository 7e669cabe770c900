"""Ranges among the axes of a sweep file: `{min: 1e-4, max: 0.1, log: true}` instead of a list of values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from cifar_lab.config.io import catalogue
from cifar_lab.config.io.expected import found, show
from cifar_lab.config.io.suggest import did_you_mean
from cifar_lab.config.io.tree import Node
from cifar_lab.config.io.values import Check, value_fits
from cifar_lab.config.sheets import Range

BOUNDS = ("min", "max")


def expected_axis(setting: str) -> str:
    """What an axis of the setting is, in words."""
    numbers = catalogue.number_types(setting)
    example = "{min: 0.001, max: 0.1, log: true}" if float in numbers else "{min: 16, max: 128}"
    return f"a list of values{f', or a range such as {example}' if numbers else ''}"


def is_range(node: Node) -> bool:
    """Whether an axis is meant to be a range."""
    return isinstance(node.value, dict)


def range_fits(check: Check, key: str, setting: str, node: Node, bound_fits: Callable[[str, Node], bool]) -> bool:
    """Whether a range has the keys and types of one, and bounds that its setting takes; reports why not.

    Args:
        bound_fits: reports, under a key, whether the setting takes a bound.
    """
    before = len(check.findings)
    for name, child in node.value.items():
        here = f"{key}.{name}"
        if name not in Range.model_fields:
            near = did_you_mean(name, Range.model_fields) or f"; a range has {', '.join(Range.model_fields)}"
            check.report(child, here, f"no part of a range{near}")
        elif not child.broken:
            value_fits(check, Range, name, here, child)
    for name in BOUNDS:
        if name not in node.value:
            check.report(node, f"{key}.{name}", f"missing; expected {expected_axis(setting)}")
    if len(check.findings) > before or any(child.broken for child in node.value.values()):
        return False
    types = catalogue.number_types(setting)
    if not types:
        check.report(node, key, f"found a range, but {setting} takes no range of numbers; expected a list of values")
        return False
    fits = [bound_fits(f"{key}.{name}", node.value[name]) for name in BOUNDS]
    return all(fits)


def range_rules(check: Check, ranges: Mapping[str, tuple[str, Node]], method: str) -> None:
    """Report ranges that hold nothing, or that the method cannot try.

    Args:
        ranges: setting → its key in the file, and the range.
    """
    for _, (key, node) in ranges.items():
        if method == "grid":
            check.report(node, key, "a range needs search.method random or tpe; a grid takes a list of values")
        for name, message in _contradictions(node):
            check.report(node.value.get(name, node), f"{key}.{name}", message)


def _contradictions(node: Node) -> Iterator[tuple[str, str]]:
    low, high = (node.value[name].value for name in BOUNDS)
    if low >= high:
        yield "max", f"{show(node.value['max'])} is not above min, which is {show(node.value['min'])}"
    log = node.value.get("log")
    if log is not None and log.value is True and low <= 0:
        yield "min", f"{show(node.value['min'])} is not above 0, which a logarithmic scale (log: true) cannot reach"


def not_an_axis(setting: str, node: Node) -> str:
    """What is wrong with a node that is neither a list nor a range; empty for either of them."""
    if isinstance(node.value, list):
        return "" if node.value else f"the list is empty; expected {expected_axis(setting)}"
    return "" if is_range(node) else f"{found(node)}; expected {expected_axis(setting)}"
