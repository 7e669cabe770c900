"""Groups of points, by the settings that `search.per` names, and the space of each group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cifar_lab.config import Settings
from cifar_lab.config.io.nearest_name import did_you_mean
from cifar_lab.config.io.point_labels import dotted, point_label
from cifar_lab.config.io.same_value import same_value
from cifar_lab.config.io.setting_keys import fields_of
from cifar_lab.config.sheets import Search, SweepSheet
from cifar_lab.studies.space.agreement import agrees, without_repeats
from cifar_lab.studies.space.axes import Axis, Choices, Interval, axis_keys
from cifar_lab.studies.space.conditions import ABSENT, Space, setting_value
from cifar_lab.studies.space.short_labels import short_label

if TYPE_CHECKING:
    from cifar_lab.studies.space.points import Point

DASH = "–"
"""Value shown for a setting that a point does not have."""


def group_name(settings: Settings, search: Search) -> str:
    """Short name of the group of a point. Empty where the points are one group. See `group_names`.

    Settings that are disabled by default are left out. Where all are, the name is that of the first.
    """
    shown = _shown(settings, search)
    return short_label(shown, default_value) or point_label(dict(list(shown.items())[:1]))


def group_key(settings: Settings, search: Search) -> str:
    """Whole values of the settings that name the group of a point. Two groups never have the same."""
    return dotted(_shown(settings, search))


def group_names(arms: Iterable[Settings], search: Search) -> dict[str, str]:
    """Name of each group by its key: the short one, or all values where other groups have the same short one."""
    short: dict[str, str] = {}
    for arm in arms:
        key = group_key(arm, search)
        if key not in short:
            short[key] = group_name(arm, search)
    uses = Counter(short.values())
    return {key: name if uses[name] == 1 else key for key, name in short.items()}


def _shown(settings: Settings, search: Search) -> dict[str, Any]:
    values = {key: setting_value(settings, key) for key in search.group_keys}
    return {key: DASH if value is ABSENT else value for key, value in values.items()}


def default_value(key: str) -> Any:
    """Default of a setting. `ABSENT` where its classes have several."""
    fields = [cls.model_fields[name] for cls, name in fields_of(key)]
    defaults = [field.get_default(call_default_factory=True) for field in fields]
    return defaults[0] if defaults and all(same_value(key, defaults[0], each) for each in defaults) else ABSENT


def by_group(points: Sequence[Point], search: Search) -> dict[str, list[Point]]:
    """Points by the name of their group, in the order of the points."""
    names = group_names((point.settings for point in points), search)
    return {names[key]: own for key, own in by_key(points, search).items()}


def by_key(points: Sequence[Point], search: Search) -> dict[str, list[Point]]:
    """Points by the key of their group, in the order of the points."""
    groups: dict[str, list[Point]] = {}
    for point in points:
        groups.setdefault(group_key(point.settings, search), []).append(point)
    return groups


def group_sizes(arms: Sequence[Settings], search: Search) -> dict[str, int]:
    """Number of arms in each group, by its name."""
    names = group_names(arms, search)
    return dict(Counter(names[group_key(arm, search)] for arm in arms))


def group_values(sheet: SweepSheet, space: Space) -> list[Mapping[str, Any]]:
    """Values of each group's keys among the points of the space, in file order."""
    keys = sheet.search.group_keys
    axes = [axis for axis in space.order if set(keys) & set(axis.keys)]
    found = [{key: values[key] for key in keys if key in values} for values in space.combinations(axes)]
    return list(without_repeats(found)) if found else [{}]


def group_axes(axes: Sequence[Axis], group: Mapping[str, Any]) -> list[Axis]:
    """The axes with the options of one group alone."""
    made: list[Axis] = []
    for axis in axes:
        own = {key: value for key, value in group.items() if key in axis.keys}
        if isinstance(axis, Choices) and own:
            options = tuple(option for option in axis.options if agrees(option, own))
            axis = replace(axis, options=options) if options else axis
        made.append(axis)
    return made


def group_problems(sheet: SweepSheet, axes: Sequence[Axis]) -> list[tuple[str, str]]:
    """Key and message of each fault of `search.per`."""
    search, problems = sheet.search, []
    varied = {key: axis for axis in axes for key in axis.keys}
    armed = {key for values in sheet.arms.values() for key in values}
    listed = [key for key, axis in varied.items() if isinstance(axis, Choices)]
    if search.group_keys and "top" in search.model_fields_set:
        problems.append(("search.top", "per confirms the best point of each group; remove top"))
    for key in search.group_keys:
        if isinstance(varied.get(key), Interval):
            problems.append(("search.per", f"{key} is a range, so every point would be a group; give it a list"))
        elif key not in varied and (key not in armed or search.method != "grid"):
            near = did_you_mean(key, listed) or f"; the lists of values are {', '.join(listed) or 'none'}"
            problems.append(("search.per", f"{key} does not vary in this sweep{near}"))
        elif key in varied and search.method != "grid":
            problems += _unknown_group(key, varied[key], search)
    return problems


def _unknown_group(key: str, axis: Axis, search: Search) -> list[tuple[str, str]]:
    """A key whose condition reads keys outside of the groups, so that the groups are not known before the draws."""
    others = [each for each in axis.when if each not in search.group_keys]
    keys = ", ".join([*others, *search.group_keys])
    return [("search.per", f"{key} depends on {', '.join(others)}; write per: [{keys}]")] if others else []


def group_count(sheet: SweepSheet) -> int:
    """Number of groups that the lists of a sweep file give, at least 1. Conditions are not followed."""
    count = 1
    for _, key in axis_keys(sheet):
        if key in sheet.search.group_keys:
            stated = sheet.space.get(key)
            values = [dict(group)[key] for group, _ in sheet.groups if key in group]
            count *= len(without_repeats([{key: value} for value in (values[0] if values else _listed(stated))])) or 1
    return count


def _listed(stated: Any) -> Sequence[Any]:
    values = getattr(stated, "values", stated)
    return values if isinstance(values, list | tuple) else ()
