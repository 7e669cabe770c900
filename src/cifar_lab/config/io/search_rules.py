"""What must hold between `search` and the rest of a sweep file: each method has settings of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cifar_lab.config.io.tree import Node
from cifar_lab.config.io.values import Check

OF_METHODS = {"trials": ("random", "tpe"), "seed": ("random", "tpe"), "batch": ("tpe",), "halving": ("grid", "random")}
"""Settings of a search that some methods do not have."""

INSTEAD = {
    ("grid", "trials"): "a grid tries every point; remove it, or state method: random",
    ("grid", "seed"): "a grid draws nothing; remove it, or did you mean seeds?",
    ("tpe", "halving"): "tpe learns from whole trainings; remove it, or state method: random",
}


def method_of(root: Node) -> str:
    """The method that a file states, or the default."""
    search = root.value.get("search")
    stated = search.value.get("method") if search is not None and isinstance(search.value, dict) else None
    return stated.value if stated is not None and isinstance(stated.value, str) else "grid"


def search_rules(check: Check, root: Node, axes: Sequence[str], arms: Iterable[tuple[str, str, Node]]) -> None:
    """Report settings of another method, what a method misses, and epochs that differ where they are compared.

    Args:
        axes: dotted keys that vary.
        arms: key, dotted setting and node of everything that an arm sets.
    """
    method, search = method_of(root), root.value.get("search")
    stated = search.value if search is not None and isinstance(search.value, dict) else {}
    for name, methods in OF_METHODS.items():
        if name in stated and stated[name].value is not None and method not in methods:
            remedy = INSTEAD.get((method, name), f"it is for {' and '.join(methods)}; remove it")
            check.report(stated[name], f"search.{name}", f"{method} has no {name}: {remedy}")
    if method in OF_METHODS["trials"]:
        if stated.get("trials") is None or stated["trials"].value is None:
            check.report(stated["method"], "search.trials", f"missing; {method} needs a number of points (50, say)")
        if not axes:
            check.report(stated["method"], "search.method", f"{method} draws from space or paired; state one of them")
    if stated.get("halving") is not None and stated["halving"].value is not None:
        if "epochs" in axes:
            message = "points are compared after the same epochs; take epochs out of the space"
            check.report(stated["halving"], "search.halving", message)
        for key, setting, node in arms:
            if setting == "epochs":
                check.report(node, key, "points are compared after the same epochs (search.halving); remove it")
