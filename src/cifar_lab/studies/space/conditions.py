"""Conditions of a space: the axes that belong to a point, given the values of the others and the base settings."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cifar_lab.config import DataOptions, Settings
from cifar_lab.config.io.point_labels import dotted, value_text
from cifar_lab.config.io.same_value import VAL_SIZE, same_value, stands_for
from cifar_lab.config.io.setting_keys import choice_key, chosen, sections
from cifar_lab.studies.space.axes import Axis, Choices

ABSENT = object()
"""Value of a key that a point does not have."""

SIZES = ("data.train_size", "data.classes", "data.images_per_class")
"""Settings from which the number of images follows. `data.val_size` may be a share of it."""

MOST_CHECKED = 100_000
"""Combinations of conditional keys that are checked before the start."""


class Space:
    """Axes in an order in which each follows the axes that its condition reads."""

    def __init__(self, axes: Sequence[Axis], base: Settings) -> None:
        """The conditions must have no cycle."""
        self.axes, self.base = list(axes), base
        self._varied = {key for axis in axes for key in axis.keys}
        self._keys = list(dict.fromkeys(key for axis in axes for key in axis.keys))
        self.order = _ordered(self.axes)

    @property
    def is_conditional(self) -> bool:
        """Whether some points have fewer keys than others."""
        return any(axis.when for axis in self.axes)

    def holds(self, axis: Axis, values: Mapping[str, Any]) -> bool:
        """Whether the axis belongs to a point with these values, which include those of all axes before it."""
        return all(self._matches(key, wanted, values) for key, wanted in axis.when.items())

    def _matches(self, key: str, wanted: Any, values: Mapping[str, Any]) -> bool:
        """Whether a setting of a point has the value that a condition names, or one of its list."""
        value = self.value(key, values)
        if value is ABSENT:
            return False
        several = wanted if isinstance(wanted, list | tuple) else ()
        meant = self._meant(key, value, values)
        return any(same_value(key, meant, self._meant(key, each, values)) for each in (wanted, *several))

    def _meant(self, key: str, value: Any, values: Mapping[str, Any]) -> Any:
        """A value without references: null as the setting that it stands for, a share of images as their number."""
        if value is None and (other := stands_for(key)):
            return self.value(other, values)
        return self._count(value, values) if key == VAL_SIZE and isinstance(value, float) else value

    def _count(self, share: float, values: Mapping[str, Any]) -> float:
        """Number of validation images of a share, where the settings tell how many images there are."""
        stated = {key.partition(".")[2]: value for key, value in values.items() if key.startswith("data.")}
        cls = chosen("data", stated["dataset"]) if "dataset" in stated else type(self.base.data)
        if cls is None or not 0 < share < 1:
            return share
        own = self.base.data.model_dump() if cls is type(self.base.data) else {}
        data = cls.model_construct(**{**own, **stated, "val_size": share})
        assert isinstance(data, DataOptions)
        sizes = data.sizes()
        return share if sizes is None else data.val_count(sizes.train)

    def value(self, key: str, values: Mapping[str, Any]) -> Any:
        """Value of a setting in a point: its own, else that of the base, or of the class that the point chooses."""
        return values[key] if key in values else unstated_value(self.base, key, values)

    def kept(self, drawn: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Values of the axes that belong to the point, in file order.

        Args:
            drawn: values of every axis by its name.
        """
        found: dict[str, Any] = {}
        for axis in self.order:
            if self.holds(axis, found):
                found |= drawn[axis.name]
        return self.in_order(found)

    def in_order(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values in file order."""
        return {key: values[key] for key in self._keys if key in values}

    def combinations(self, axes: Sequence[Axis] | None = None) -> Iterator[dict[str, Any]]:
        """Every combination of the lists of values, the last axis fastest. Empty without lists.

        Args:
            axes: in the order of `order`. All by default.
        """
        lists = [axis for axis in (self.order if axes is None else axes) if isinstance(axis, Choices)]
        if lists:
            yield from map(self.in_order, self._below(lists, {}))

    def _below(self, axes: Sequence[Choices], values: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if not axes:
            yield values
            return
        first, *rest = axes
        for option in first.options if self.holds(first, values) else ({},):
            yield from self._below(rest, {**values, **option})

    def problems(self) -> list[tuple[str, str]]:
        """Key and message of each condition that never holds, and of each key that two conditions set at once."""
        if not self.is_conditional:
            return []
        read = _ancestors(self.axes)
        met: set[str] = set()
        twice: dict[tuple[str, str], dict[str, Any]] = {}
        combinations = self.combinations([axis for axis in self.order if axis.name in read]) if read else iter([{}])
        for number, values in enumerate(combinations):
            if number == MOST_CHECKED:
                return []
            present = [axis for axis in self.axes if self.holds(axis, values)]
            met |= {axis.name for axis in present}
            for one, other in itertools.combinations(present, 2):
                if set(one.keys) & set(other.keys):
                    twice.setdefault((one.name, other.name), values)
        never = [(_place(axis), self._never_words(axis)) for axis in self.axes if axis.name not in met]
        return never + [
            (f"space.{other}", f"belongs to the same points as {one} ({dotted(values)}); let the conditions differ")
            for (one, other), values in twice.items()
        ]

    def _never_words(self, axis: Axis) -> str:
        for key, wanted in axis.when.items():
            if key not in self._varied and not _varies(key, self._varied):
                stated = unstated_value(self.base, key, {})
                if stated is ABSENT:
                    return f"never holds: base has no {key}; let {key.partition('.')[0]} vary, or remove the key"
                if not self._matches(key, wanted, {}):
                    return f"never holds: {key} is {value_text(stated)} in base; add {key} to space, or drop `when`"
        return f"no point has {dotted(axis.when)}; change it, or remove the key"


def setting_value(settings: Settings, key: str) -> Any:
    """Value of a dotted key. `ABSENT` where the settings do not have it."""
    return unstated_value(settings, key, {})


def unstated_value(base: Settings, key: str, values: Mapping[str, Any]) -> Any:
    """Value of a setting in a point with these values that does not state it. `ABSENT` where it has none."""
    section, _, name = key.partition(".")
    owner: Any = getattr(base, section, ABSENT)
    if not name or section not in sections():
        return owner
    choice = choice_key(section)
    cls = chosen(section, values[f"{section}.{choice}"]) if f"{section}.{choice}" in values else type(owner)
    if cls is None or name not in cls.model_fields:
        outer, _, inner = key.rpartition(".")
        return (
            _inside(outer, inner, values.get(outer, unstated_value(base, outer, values)), values)
            if "." in name
            else ABSENT
        )
    if cls is type(owner) or (name in owner.model_fields_set and name in type(owner).model_fields):
        return getattr(owner, name)
    field = cls.model_fields[name]
    return ABSENT if field.is_required() else field.default


def _inside(outer: str, name: str, owner: Any, values: Mapping[str, Any]) -> Any:
    """Value of a setting inside `outer`, which is a mapping or a section inside a section."""
    stated = owner if isinstance(owner, Mapping) else getattr(owner, "__dict__", {})
    choice = values.get(f"{outer}.name", ABSENT)
    if name != "name" and choice is not ABSENT and choice != stated.get("name"):
        return ABSENT  # the point chooses another class, whose value it does not state
    return stated.get(name, ABSENT)


def _ordered(axes: Sequence[Axis]) -> list[Axis]:
    """The axes in file order, each after those that its condition reads."""
    placed: list[Axis] = []
    waiting = list(axes)
    while waiting:
        ready = next((axis for axis in waiting if not _read_keys(axis) & _keys_beside(waiting, axis)), waiting[0])
        placed.append(ready)
        waiting.remove(ready)
    return placed


def _keys_beside(axes: Sequence[Axis], axis: Axis) -> set[str]:
    return {key for other in axes if other is not axis for key in other.keys}


def _read_keys(axis: Axis) -> set[str]:
    """Keys that a condition depends on: its own, and the choices of their sections."""
    own = set(axis.when)
    own |= {other for key in own if (other := stands_for(key))}
    own |= set(SIZES) if VAL_SIZE in own else set()
    outer = {key.rpartition(".")[0] for key in own if key.count(".") > 1}
    own |= outer | {f"{each}.name" for each in outer}
    return own | {f"{section}.{choice_key(section)}" for section in (key.partition(".")[0] for key in own)
                  if choice_key(section)}  # fmt: skip


def _ancestors(axes: Sequence[Axis]) -> set[str]:
    """Names of the axes that conditions depend on, directly or through other conditions."""
    names: set[str] = set()
    keys = {key for axis in axes for key in _read_keys(axis) if axis.when}
    while True:
        more = {axis.name for axis in axes if set(axis.keys) & keys}
        if more <= names:
            return names
        names |= more
        keys |= {key for axis in axes if axis.name in names and axis.when for key in _read_keys(axis)}


def _varies(key: str, varied: set[str]) -> bool:
    section = key.partition(".")[0]
    return f"{section}.{choice_key(section)}" in varied


def _place(axis: Axis) -> str:
    return f"{axis.name}.when" if axis.name.startswith("paired[") else f"space.{axis.name}.when"


def when_advice(axes: Sequence[Axis], key: str) -> str:
    """Advice to write an axis whose key only some choices of its section have. Empty for any other key."""
    section, _, name = key.partition(".")
    name = name.partition(".")[0]
    choice = f"{section}.{choice_key(section)}" if choice_key(section) else ""
    chooser = next((axis for axis in axes if choice in axis.keys and isinstance(axis, Choices)), None)
    unconditional_first = sorted(axes, key=lambda axis: bool(axis.when))
    inside = [each for axis in unconditional_first for each in axis.keys if each.startswith(f"{key}.")]
    key = next(iter(inside), key)
    own = next((axis for axis in axes if key in axis.keys), None)
    if chooser is None or own is None or chooser is own:
        return ""
    stated = [option[choice] for option in chooser.options]
    having = [each for each in dict.fromkeys(stated) if name in getattr(chosen(section, each), "model_fields", ())]
    if not having or len(having) == len(set(stated)):
        return ""
    when = f"when: {{{choice}: {having[0] if len(having) == 1 else value_text(having)}}}"
    return f"; write {_with_when(own, key, when)}"


def _with_when(axis: Axis, key: str, when: str) -> str:
    """The axis with a condition, as a sweep file has it."""
    if axis.name.startswith("paired["):
        return f"{when} in {axis.name}"
    if isinstance(axis, Choices):
        return f"{key}: {{values: {value_text([option[key] for option in axis.options])}, {when}}}"
    low, high = (int(end) if axis.whole else end for end in (axis.low, axis.high))
    return f"{key}: {{min: {low:g}, max: {high:g}, {'log: true, ' if axis.log else ''}{when}}}"
