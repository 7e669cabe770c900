"""Rules of a sweep file beyond its values: contradictions between its axes, groups, exclusions and seeds."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from cifar_lab.config.io.condition_rules import AxisCondition, condition_rules
from cifar_lab.config.io.search_rules import method_of, range_rules, search_rules
from cifar_lab.config.io.setting_keys import NOT_IN_POINTS, is_setting
from cifar_lab.config.io.tree import Node, SourceLocation, axis_parts, dotted, from_python, is_range, plain
from cifar_lab.config.io.values import Check
from cifar_lab.config.sheets import Search, SweepSheet


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
    condition_rules(check, axis_conditions(root), {setting: node for _, setting, node in axis_nodes(root)})


def _group_rules(check: Check, root: Node) -> None:
    for index, group in enumerate(_items(root, "paired")):
        if not isinstance(group.value, dict):
            continue
        lengths = {setting: len(node.value) for setting, node in group.value.items() if isinstance(node.value, list)}
        if not lengths:
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
            key = f"{here}.{setting}" if is_setting(setting) else dotted(here, setting)
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
    stated = root.value["arms"].value if "arms" in root.value else {}
    for name, arm in stated.items() if isinstance(stated, dict) else ():
        for setting, node in arm.value.items() if isinstance(arm.value, dict) else ():
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
                if setting != "when":
                    yield f"{prefix}.{setting}", setting, node


def axis_conditions(root: Node) -> Iterator[AxisCondition]:
    """Every condition of the space and of the groups."""
    space = root.value.get("space")
    for setting, node in space.value.items() if space is not None and isinstance(space.value, dict) else ():
        for at, part in axis_parts(node):
            if isinstance(part.value, dict) and "when" in part.value:
                yield AxisCondition(f"space.{setting}{at}.when", (setting,), part.value["when"])
    for index, group in enumerate(_items(root, "paired")):
        if isinstance(group.value, dict) and "when" in group.value:
            keys = tuple(setting for setting in group.value if setting != "when")
            yield AxisCondition(f"paired[{index}].when", keys, group.value["when"])
