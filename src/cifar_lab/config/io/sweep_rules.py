"""Rules of a sweep file beyond the types of its keys."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from cifar_lab.config import Settings
from cifar_lab.config.io import setting_keys
from cifar_lab.config.io.layers import absolute_value
from cifar_lab.config.io.messages import did_you_mean, found, nearest, show
from cifar_lab.config.io.search_rules import is_range, method_of, not_an_axis, range_fits, range_rules, search_rules
from cifar_lab.config.io.tree import Node, SourceLocation, dotted, from_python, plain
from cifar_lab.config.io.values import Check, value_fits
from cifar_lab.config.sheets import Search, SweepSheet

NOT_IN_POINTS = {
    "label": "points and arms are named by their settings; remove it",
    "seeds": "seeds repeat a point and are not part of it; set search.seeds",
    "extends": "a sweep has one base; set base",
}


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
    return replace(root, value=tree)


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
            elif is_range(child) and not _range_fits(check, key, setting, child, folder):
                child = replace(child, broken=True)
        axes[setting] = child
    return replace(node, value=axes)


def _range_fits(check: Check, key: str, setting: str, node: Node, folder: Path) -> bool:
    def bound_fits(here: str, bound: Node) -> bool:
        before = len(check.findings)
        _setting_value(check, here, setting, bound, folder)
        return len(check.findings) == before

    return range_fits(check, key, setting, node, bound_fits)


def _point(check: Check, node: Node, prefix: str, folder: Path, *, axes: bool = False) -> Node:
    """Check a mapping of dotted settings to values (axes: to lists of values)."""
    if not isinstance(node.value, dict):
        return node
    values = {}
    for setting, child in node.value.items():
        key = f"{prefix}.{setting}" if _known(setting) else dotted(prefix, setting)
        problem = _no_setting(setting)
        if problem:
            check.report(child, key, problem)
        elif axes and isinstance(child.value, list):
            items = [_setting_value(check, f"{key}[{i}]", setting, item, folder) for i, item in enumerate(child.value)]
            child = replace(child, value=items)
        elif not axes:
            child = _setting_value(check, key, setting, child, folder)
        values[setting] = child
    return replace(node, value=values)


def _known(setting: str) -> bool:
    return setting in setting_keys.dotted_keys() or any(
        setting.startswith(f"{free}.") for free in setting_keys.FREE_KEYS
    )


def _no_setting(setting: str) -> str:
    """Reason why a dotted key cannot be in a point. Empty for a valid key."""
    if setting in NOT_IN_POINTS:
        return NOT_IN_POINTS[setting]
    if setting in setting_keys.sections():
        example = setting_keys.choice_key(setting) or setting_keys.section_keys(setting)[0]
        return f"a whole section; name one of its settings, such as {setting}.{example}"
    if _known(setting):
        return ""
    inside = "" if "." in setting else " or ".join(setting_keys.dotted_keys_of(setting))
    if inside:
        return f"no such setting — did you mean {inside}?"
    section, _, name = setting.partition(".")
    near = nearest(name, setting_keys.section_keys(section)) if section in setting_keys.sections() else ""
    if near:
        return f"no such setting — did you mean {section}.{near}?"
    return f"no such setting{did_you_mean(setting, setting_keys.dotted_keys()) or '; write section.key'}"


def _setting_value(check: Check, key: str, setting: str, node: Node, folder: Path) -> Node:
    """Check one value of a setting and make its path absolute. Reports a value that the section accepts nowhere."""
    section, _, name = setting.partition(".")
    if node.broken or setting not in setting_keys.dotted_keys():
        return node
    if not name:
        value_fits(check, Settings, setting, key, node)
        return node
    classes = [cls for cls in setting_keys.sections()[section] if name in cls.model_fields]
    if name == setting_keys.choice_key(section):
        cls = setting_keys.chosen(section, node.value)
        if cls is None:
            known = setting_keys.known_choices(section)
            near = did_you_mean(node.value, known) if isinstance(node.value, str) else ""
            wrong = f"{show(node)} is" if isinstance(node.value, str) else f"{found(node)}, which is"
            check.report(node, key, f"{wrong} not one of: {', '.join(known)}{near}")
            return node
        classes = [cls]
    trials = [Check() for _ in classes]
    fits = [value_fits(trial, cls, name, key, node) for trial, cls in zip(trials, classes, strict=True)]
    if not any(fits):
        check.findings += trials[0].findings
    return absolute_value(setting, node, folder, check.findings) if setting in setting_keys.PATH_KEYS else node


def sweep_problems(sheet: SweepSheet) -> list[tuple[str, str]]:
    """Key and message of each contradiction in a sweep, which may be built in Python."""
    root, _ = from_python(sheet.model_dump(exclude_unset=True), SourceLocation())
    check = Check()
    for key, setting, node in [*axis_nodes(root), *_arm_settings(root)]:
        if setting in NOT_IN_POINTS:
            check.report(node, key, NOT_IN_POINTS[setting])
    sweep_rules(check, root)
    return [(finding.key, finding.message) for finding in check.findings]


def sweep_rules(check: Check, root: Node) -> None:
    """Report contradictions in a sweep file."""
    tree = root.value
    if not any(name in tree and (tree[name].broken or tree[name].value) for name in ("space", "paired", "arms")):
        check.report(root, "", "nothing to sweep; state space, paired or arms")
    first: dict[str, tuple[str, int]] = {}
    for key, setting, node in axis_nodes(root):
        if setting in first:
            place, line = first[setting]
            where = f"on line {line}" if line else f"as {place}"
            check.report(node, key, f"{setting} is already an axis, {where}; keep one of them")
        first.setdefault(setting, (key, node.spot.line))
    _group_rules(check, root)
    ranges = {setting: (key, node) for key, setting, node in axis_nodes(root) if is_range(node) and not node.broken}
    _exclusion_rules(check, root, list(first), ranges)
    _seed_rules(check, root)
    search_rules(check, root, list(first), _arm_settings(root))
    range_rules(check, ranges, method_of(root))


def _group_rules(check: Check, root: Node) -> None:
    for index, group in enumerate(_items(root, "paired")):
        if not isinstance(group.value, dict):
            continue
        lengths = {setting: len(node.value) for setting, node in group.value.items() if isinstance(node.value, list)}
        if not group.value:
            check.report(group, f"paired[{index}]", "an empty group; remove it")
        elif len(set(lengths.values())) > 1:
            counts = ", ".join(f"{setting} has {count}" for setting, count in lengths.items())
            check.report(
                group, f"paired[{index}]", f"values change together, so their lists must have the same length; {counts}"
            )


def _exclusion_rules(check: Check, root: Node, axes: Sequence[str], ranges: Collection[str]) -> None:
    told = {finding.key for finding in check.findings}
    for index, partial in enumerate(_items(root, "exclude")):
        here = f"exclude[{index}]"
        if not isinstance(partial.value, dict):
            continue
        if not partial.value:
            check.report(partial, here, "an empty entry would exclude every point; remove it")
        for setting, node in partial.value.items():
            key = f"{here}.{setting}" if _known(setting) else dotted(here, setting)
            if setting not in axes and key not in told:
                check.report(node, key, f"is not a key of space or paired; the keys are {', '.join(axes) or 'none'}")
            elif setting in ranges:
                check.report(node, key, "is a range here, so no single value can be excluded; make the range narrower")


def _seed_rules(check: Check, root: Node) -> None:
    stated, defaults = root.value.get("search"), Search()
    search = stated.value if stated is not None and isinstance(stated.value, dict) else {}
    seeds = plain(search["seeds"]) if "seeds" in search else list(defaults.seeds)
    fresh = plain(search["confirm_seeds"]) if "confirm_seeds" in search else list(defaults.confirm_seeds)
    if isinstance(seeds, list) and isinstance(fresh, list):
        shared = [seed for seed in fresh if seed in seeds]
        if shared:
            node: Node = search["confirm_seeds"] if "confirm_seeds" in search else search["seeds"]
            message = f"seed {shared[0]} is a seed of the search; winners are confirmed with fresh seeds"
            check.report(node, "search.confirm_seeds", message)


def _arm_settings(root: Node) -> Iterator[tuple[str, str, Node]]:
    """Key, dotted setting and node of every value that an arm sets."""
    for name, arm in root.value["arms"].value.items() if "arms" in root.value else ():
        for setting, node in arm.value.items():
            yield f"{dotted('arms', name)}.{setting}", setting, node


def _items(root: Node, key: str) -> list[Node]:
    node = root.value.get(key)
    return node.value if node is not None and isinstance(node.value, list) else []


def axis_nodes(root: Node) -> Iterator[tuple[str, str, Node]]:
    """Key, dotted setting and node of each axis, in the order of the file."""
    groups = [(f"paired[{i}]", group) for i, group in enumerate(_items(root, "paired"))]
    if "space" in root.value:
        groups.insert(0, ("space", root.value["space"]))
    for prefix, group in groups:
        if isinstance(group.value, dict):
            for setting, node in group.value.items():
                yield f"{prefix}.{setting}", setting, node
