"""Values of the points of a sweep file: each is checked against its setting, and paths become absolute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cifar_lab.config import Settings
from cifar_lab.config.io import setting_keys
from cifar_lab.config.io.layers import absolute_value
from cifar_lab.config.io.messages import found, show
from cifar_lab.config.io.nearest_name import did_you_mean, nearest
from cifar_lab.config.io.point_labels import point_label
from cifar_lab.config.io.search_rules import not_an_axis, range_fits, values_fit
from cifar_lab.config.io.tree import Node, axis_parts, dotted, plain
from cifar_lab.config.io.values import Check, value_fits


def sweep_points(root: Node, check: Check, folder: Path) -> Node:
    """Check every value of every point of a sweep file. Returns the tree with absolute paths.

    A value is valid if some choice of its section accepts it. Whole points are validated when they are built.
    """
    if not isinstance(root.value, dict):
        return root
    tree = dict(root.value)
    if "space" in tree:
        tree["space"] = _point(check, _space(check, tree["space"], folder), "space", folder, axes=True)
    for key in ("paired", "exclude"):
        if key in tree and isinstance(tree[key].value, list):
            points = [
                _point(check, item, f"{key}[{i}]", folder, axes=key == "paired")
                for i, item in enumerate(tree[key].value)
            ]
            tree[key] = replace(tree[key], value=points)
    if "arms" in tree and isinstance(tree["arms"].value, dict):
        arms = tree["arms"].value.items()
        named = {name: _point(check, node, dotted("arms", name), folder) for name, node in arms}
        tree["arms"] = replace(tree["arms"], value=named)
    elif "arms" in tree and isinstance(tree["arms"].value, list):
        tree["arms"] = replace(tree["arms"], value=_named_arms(check, tree["arms"].value, folder))
    return replace(root, value=tree)


def _named_arms(check: Check, nodes: Sequence[Node], folder: Path) -> dict[str, Node]:
    """The arms of a list, by names made of their values."""
    named: dict[str, Node] = {}
    for index, node in enumerate(nodes):
        arm = _point(check, node, f"arms[{index}]", folder)
        if not isinstance(arm.value, dict):
            check.report(node, f"arms[{index}]", f"{found(node)}; expected settings such as {{optimizer.lr: 0.01}}")
            continue
        name = point_label(plain(arm)) or "as base"
        named[name if name not in named else f"{name} ({index + 1})"] = arm
    return named


def _space(check: Check, node: Node, folder: Path) -> Node:
    """The axes, with those marked broken that are neither a valid range nor a non-empty list."""
    if not isinstance(node.value, dict):
        return node
    axes = {}
    for setting, child in node.value.items():
        key = f"space.{setting}"
        if not child.broken and not _no_setting(setting):
            if problem := not_an_axis(setting, child):
                check.report(child, key, problem)
                child = replace(child, broken=True)
            elif isinstance(child.value, dict):
                child = _axis_part(check, key, setting, child, folder)
            elif (parts := axis_parts(child))[0][0]:
                made = [_axis_part(check, key + at, setting, part, folder) for at, part in parts]
                child = replace(child, value=made, broken=any(part.broken for part in made))
        axes[setting] = child
    return replace(node, value=axes)


def _axis_part(check: Check, key: str, setting: str, node: Node, folder: Path) -> Node:
    """A range, or a list of values, with or without a condition. Marked broken where it is not valid."""
    tree = dict(node.value)
    if "when" in tree:
        tree["when"] = when_values(check, f"{key}.when", tree["when"], folder)
    node = replace(node, value=tree)
    if "values" not in tree:
        return node if _range_fits(check, key, setting, node, folder) else replace(node, broken=True)
    if not values_fit(check, key, setting, node):
        return replace(node, broken=True)
    items = [
        setting_value(check, f"{key}.values[{i}]", setting, item, folder) for i, item in enumerate(tree["values"].value)
    ]
    return replace(node, value={**tree, "values": replace(tree["values"], value=items)})


def when_values(check: Check, key: str, node: Node, folder: Path) -> Node:
    """A condition with its paths made absolute. Reports unknown keys and values that their settings do not accept."""
    if not isinstance(node.value, dict) or not node.value:
        check.report(node, key, "expected a condition such as when: {optimizer.name: sgd}")
        return replace(node, broken=True)
    wanted = {}
    for setting, child in node.value.items():
        here = f"{key}.{setting}"
        if problem := _no_setting(setting):
            check.report(child, here, problem)
        elif isinstance(child.value, list) and not child.broken:
            trial = Check()
            whole, items = setting_value(trial, here, setting, child, folder), child.value
            if trial.findings:
                items = [setting_value(check, f"{here}[{i}]", setting, each, folder) for i, each in enumerate(items)]
            else:
                items = whole.value
            child = replace(child, value=items)
            if not items:
                check.report(child, here, "the list is empty; name a value")
        else:
            child = setting_value(check, here, setting, child, folder)
        wanted[setting] = child
    return replace(node, value=wanted)


def _range_fits(check: Check, key: str, setting: str, node: Node, folder: Path) -> bool:
    def bound_fits(here: str, bound: Node) -> bool:
        before = len(check.findings)
        setting_value(check, here, setting, bound, folder)
        return len(check.findings) == before

    return range_fits(check, key, setting, node, bound_fits)


def _point(check: Check, node: Node, prefix: str, folder: Path, *, axes: bool = False) -> Node:
    """Check a mapping of dotted settings to values (axes: to lists of values)."""
    if not isinstance(node.value, dict):
        return node
    values = {}
    for setting, child in node.value.items():
        key = f"{prefix}.{setting}" if setting_keys.is_setting(setting) else dotted(prefix, setting)
        problem = _no_setting(setting)
        if axes and setting == "when":
            child = when_values(check, key, child, folder)
        elif problem:
            check.report(child, key, problem)
        elif axes and isinstance(child.value, dict):
            pass  # a range, or values with a condition
        elif axes and isinstance(child.value, list) and not axis_parts(child)[0][0]:
            items = [setting_value(check, f"{key}[{i}]", setting, item, folder) for i, item in enumerate(child.value)]
            child = replace(child, value=items)
        elif not axes:
            child = setting_value(check, key, setting, child, folder)
        values[setting] = child
    return replace(node, value=values)


def _no_setting(setting: str) -> str:
    """Reason why a dotted key cannot be in a point. Empty for a valid key."""
    if setting in setting_keys.NOT_IN_POINTS:
        return setting_keys.NOT_IN_POINTS[setting]
    if setting in setting_keys.sections():
        example = setting_keys.choice_key(setting) or setting_keys.section_keys(setting)[0]
        return f"a whole section; name one of its settings, such as {setting}.{example}"
    if setting_keys.is_setting(setting):
        return ""
    inside = "" if "." in setting else " or ".join(setting_keys.dotted_keys_of(setting))
    if inside:
        return f"no such setting — did you mean {inside}?"
    section, _, name = setting.partition(".")
    near = nearest(name, setting_keys.section_keys(section)) if section in setting_keys.sections() else ""
    if near:
        return f"no such setting — did you mean {section}.{near}?"
    return f"no such setting{did_you_mean(setting, setting_keys.dotted_keys()) or '; write section.key'}"


def setting_value(check: Check, key: str, setting: str, node: Node, folder: Path) -> Node:
    """Check one value of a setting and make its path absolute. Reports a value that the section accepts nowhere."""
    section, _, name = setting.partition(".")
    if node.broken or setting not in setting_keys.dotted_keys():
        return node
    if not name:
        value_fits(check, Settings, setting, key, node)
        return node
    owners = setting_keys.fields_of(setting)
    if name == setting_keys.choice_key(section):
        cls = setting_keys.chosen(section, node.value)
        if cls is None:
            known = setting_keys.known_choices(section)
            near = did_you_mean(node.value, known) if isinstance(node.value, str) else ""
            wrong = f"{show(node)} is" if isinstance(node.value, str) else f"{found(node)}, which is"
            check.report(node, key, f"{wrong} not one of: {', '.join(known)}{near}")
            return node
        owners = [(cls, name)]
    trials = [Check() for _ in owners]
    fits = [value_fits(trial, cls, field, key, node) for trial, (cls, field) in zip(trials, owners, strict=True)]
    if not any(fits):
        check.findings += trials[0].findings
    return absolute_value(setting, node, folder, check.findings) if setting in setting_keys.PATH_KEYS else node
