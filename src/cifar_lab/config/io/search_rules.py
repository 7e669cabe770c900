"""Rules of the search of a sweep: settings of each method, and ranges such as `{min: 1e-4, max: 0.1, log: true}`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from cifar_lab.config.io import setting_keys
from cifar_lab.config.io.foreign_words import foreign_axis, foreign_axis_key
from cifar_lab.config.io.messages import found, show
from cifar_lab.config.io.nearest_name import did_you_mean
from cifar_lab.config.io.tree import Node, axis_parts, is_range
from cifar_lab.config.io.values import Check, value_fits
from cifar_lab.config.sheets import Range, Values

OF_METHODS = {
    "trials": ("random", "tpe"), "seed": ("random", "tpe"), "batch": ("tpe",), "halving": ("grid", "random"),
    "racing": ("grid", "random"),
}  # fmt: skip
"""Settings of a search that not every method has, and the methods that have them."""

FEWEST_RACE_SEEDS = 2
"""Seeds of a race. One shows no variance between seeds."""

ONE_RACE_SEED = "racing compares points over seeds; state two or more, such as"
RACE_SEEDS = f"{ONE_RACE_SEED} seeds: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"

METHODS = ("grid", "random", "tpe")
"""The methods. A setting is not checked against a method that is misspelt."""

INSTEAD = {
    ("grid", "trials"): "a grid tries every point; remove it, or state method: random",
    ("grid", "seed"): "a grid draws nothing; remove it, or did you mean seeds?",
    ("tpe", "halving"): "tpe needs runs of full length; remove it, or state method: random",
    ("tpe", "racing"): "tpe needs the same seeds of every point; remove it, or state method: random",
}


NO_METHODS = {
    "racing": "write racing: {} beside method: grid or random, and several seeds",
    "race": "write racing: {} beside method: grid or random, and several seeds",
    "irace": "write racing: {} beside method: grid or random, and several seeds",
    "halving": "write halving: {} beside method: grid or random",
    "hyperband": "write halving: {} beside method: grid or random",
}
"""Words for what stands beside the method of a search, and what to write instead."""


def method_of(root: Node) -> str:
    """The stated method, or the default."""
    search = root.value.get("search")
    stated = search.value.get("method") if search is not None and isinstance(search.value, dict) else None
    return stated.value if stated is not None and isinstance(stated.value, str) else "grid"


def search_rules(check: Check, root: Node, axes: Sequence[str], arms: Iterable[tuple[str, str, Node]]) -> None:
    """Report settings of another method, missing settings, and epochs that differ although points are compared by them.

    Args:
        axes: dotted keys that vary.
        arms: key, dotted setting and node of every value that an arm sets.
    """
    method, search = method_of(root), root.value.get("search")
    stated = search.value if search is not None and isinstance(search.value, dict) else {}
    if method in NO_METHODS:
        check.report(stated["method"], "search.method", NO_METHODS[method])
    for name, methods in OF_METHODS.items():
        if name in stated and stated[name].value is not None and method in METHODS and method not in methods:
            remedy = INSTEAD.get((method, name), f"it is only for {' and '.join(methods)}; remove it")
            check.report(stated[name], f"search.{name}", f"{method} has no {name}: {remedy}")
    if method in OF_METHODS["trials"]:
        if stated.get("trials") is None or stated["trials"].value is None:
            check.report(stated["method"], "search.trials", f"missing; {method} needs a number of points (50, say)")
        if not axes:
            check.report(stated["method"], "search.method", f"{method} draws from space or paired; state one of them")
    _race_rules(check, stated)
    if stated.get("halving") is not None and stated["halving"].value is not None:
        if "epochs" in axes:
            message = "points are compared after the same epochs; take epochs out of the space"
            check.report(stated["halving"], "search.halving", message)
        for key, setting, node in arms:
            if setting == "epochs":
                check.report(node, key, "points are compared after the same epochs (search.halving); remove it")


def _race_rules(check: Check, stated: Mapping[str, Node]) -> None:
    """Report a race without seeds to compare, and one beside halving."""
    racing = stated.get("racing")
    if racing is None or racing.value is None:
        return
    if stated.get("halving") is not None and stated["halving"].value is not None:
        check.report(racing, "search.racing", "a search has either racing or halving; remove one of them")
    seeds = stated.get("seeds")
    number = len(seeds.value) if seeds is not None and isinstance(seeds.value, list) else 1
    if number < FEWEST_RACE_SEEDS:
        check.report(seeds or racing, "search.seeds", RACE_SEEDS)


BOUNDS = ("min", "max")


def expected_axis(setting: str) -> str:
    """Expected form of an axis of the setting, in words."""
    numbers = setting_keys.number_types(setting)
    example = "{min: 0.001, max: 0.1, log: true}" if float in numbers else "{min: 16, max: 128}"
    return f"a list of values{f', or a range such as {example}' if numbers else ''}"


def values_fit(check: Check, key: str, setting: str, node: Node) -> bool:
    """Whether `{values: […], when: {…}}` has valid keys and a list. Reports each mismatch."""
    before = len(check.findings)
    for name, child in node.value.items():
        if name not in Values.model_fields:
            near = foreign_axis_key(name, node) or "; values stands beside when alone"
            check.report(child, f"{key}.{name}", f"not a key of a list of values{near}")
    stated = node.value["values"]
    if not stated.broken and not isinstance(stated.value, list):
        check.report(stated, f"{key}.values", f"{found(stated)}; expected a list of values")
    elif not stated.broken and not stated.value:
        check.report(stated, f"{key}.values", f"the list is empty; expected {expected_axis(setting)}")
    return len(check.findings) == before and not stated.broken


def range_fits(check: Check, key: str, setting: str, node: Node, bound_fits: Callable[[str, Node], bool]) -> bool:
    """Whether a range has valid keys, types and bounds. Reports each mismatch.

    Args:
        bound_fits: reports, under a key, whether the setting accepts a bound.
    """
    before = len(check.findings)
    for name, child in node.value.items():
        here = f"{key}.{name}"
        if name not in Range.model_fields:
            near = foreign_axis_key(name, node) or did_you_mean(name, Range.model_fields)
            near = near or f"; a range has {', '.join(Range.model_fields)}"
            check.report(child, here, f"not a key of a range{near}")
        elif not child.broken and name != "when":
            value_fits(check, Range, name, here, child)
    for name in BOUNDS:
        if name not in node.value and not any(foreign_axis_key(key, node) for key in node.value):
            check.report(node, f"{key}.{name}", f"missing; expected {expected_axis(setting)}")
    if len(check.findings) > before or any(child.broken for child in node.value.values()):
        return False
    types = setting_keys.number_types(setting)
    if not types:
        check.report(node, key, f"found a range, but {setting} cannot have a range; expected a list of values")
        return False
    fits = [bound_fits(f"{key}.{name}", node.value[name]) for name in BOUNDS]
    return all(fits)


def range_rules(check: Check, ranges: Mapping[str, tuple[str, Node]], method: str) -> None:
    """Report empty ranges and ranges that the method cannot use.

    Args:
        ranges: setting → its key in the file, and an axis with a range in it.
    """
    parts = [(f"{key}{at}", part) for key, node in ranges.values() for at, part in axis_parts(node) if is_range(part)]
    for key, node in parts:
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
        yield "min", f"{show(node.value['min'])} is not above 0, as a logarithmic scale (log: true) requires"


def not_an_axis(setting: str, node: Node) -> str:
    """Message for a node that is neither a list nor a range. Empty for either of them."""
    if isinstance(node.value, list):
        return "" if node.value else f"the list is empty; expected {expected_axis(setting)}"
    if isinstance(node.value, dict):
        return ""
    return f"{found(node)}; {foreign_axis(setting, node) or f'expected {expected_axis(setting)}'}"
