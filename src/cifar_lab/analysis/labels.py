"""Labels of arms in one table: arms that differ have different labels, which name the settings that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from cifar_lab.config import Settings
from cifar_lab.config.run_id import recipe
from cifar_lab.core.errors import LabError
from cifar_lab.store.records import Record

HASH_DIGITS = 8
"""Digits of a file's checksum in a label."""

MAX_LABEL = 200
"""Characters: the limit of `label`."""

MOST_KEYS = 4
"""Settings that a label names."""


@dataclass(frozen=True)
class LabelledArm:
    """Label of an arm, with what tells it from the others."""

    label: str
    identity: Mapping[str, Any]
    """Its run identity without the seed, as a tree of settings. Defaults are left out."""
    settings: Mapping[str, Any]
    """All settings, as a tree."""
    data: str = ""
    """Title of its images. Empty where all arms have the same."""
    fingerprint: str = ""
    """Fingerprint of its images, empty likewise."""


def labelled(settings: Settings) -> LabelledArm:
    """An arm of a settings file."""
    try:
        identity = recipe(settings)
    except LabError:  # a file of weights or source is missing
        identity = settings.model_dump(mode="json", exclude_defaults=True, exclude={"label", "seeds"})
    return LabelledArm(settings.label, identity, settings.model_dump(mode="json"))


def labelled_record(record: Record) -> LabelledArm:
    """The arm of a run."""
    return LabelledArm(record.label, record.recipe, record.settings, record.data.title, record.data.fingerprint)


def distinct_labels(arms: Sequence[LabelledArm]) -> list[str]:
    """A label per arm. Arms of one label that differ get the settings that differ, such as `Adam (epochs=2)`.

    Of the arms of one label, the one with the most defaults keeps it, the first on a tie.
    """
    groups: dict[str, list[int]] = {}
    for index, arm in enumerate(arms):
        groups.setdefault(arm.label, []).append(index)
    labels, taken = [arm.label for arm in arms], set(groups)
    for members in groups.values():
        first = min(members, key=lambda index: stated_count(arms[index].identity)) if len(members) > 1 else members[0]
        given = {_key(arms[first]): arms[first].label}
        for index in members:
            key = _key(arms[index])
            if key not in given:
                given[key] = _free(f"{arms[index].label} ({difference_words(arms[first], arms[index])})", taken)
                taken.add(given[key])
            labels[index] = given[key]
    return labels


def with_distinct_labels(arms: Sequence[Settings], as_written: Sequence[Settings | None]) -> list[Settings]:
    """Arms of one command with labels that differ where the arms do, and that name what `--set` changed.

    Args:
        as_written: settings of each arm without `--set`. None where nothing was changed.
    """
    marked = []
    for arm, file in zip(arms, as_written, strict=True):
        entry = labelled(arm)
        if file is not None and file.label == arm.label and _key(labelled(file)) != _key(entry):
            entry = replace(entry, label=f"{arm.label} ({difference_words(labelled(file), entry)})")
        marked.append(entry)
    labels = [label if len(label) <= MAX_LABEL else f"{label[: MAX_LABEL - 1]}…" for label in distinct_labels(marked)]
    return [
        arm if arm.label == label else arm.model_copy(update={"label": label})
        for arm, label in zip(arms, labels, strict=True)
    ]


def difference_words(first: LabelledArm, other: LabelledArm) -> str:
    """Settings of `other` that differ from `first`, as `--set` takes them."""
    ours, theirs = flat(other.identity), flat(first.identity)
    keys = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    shown = flat(other.settings)
    words = [f"{key}={short_value(ours.get(key, shown.get(key)))}" for key in keys if key in ours or key in shown]
    if len(words) > MOST_KEYS:
        words = [*words[:MOST_KEYS], f"{len(words) - MOST_KEYS} more"]
    if not words:
        words = [other.data if other.data != first.data else other.fingerprint[:HASH_DIGITS]]
    return ", ".join(words)


def stated_count(identity: Mapping[str, Any]) -> int:
    """Number of settings of a run identity that are not at their default."""
    defaults = _default_identity()
    return sum(value != defaults.get(key) for key, value in flat(identity).items())


@cache
def _default_identity() -> dict[str, Any]:
    return flat(recipe(Settings()))


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted key."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return found


def short_value(value: Any) -> str:
    """A setting as `--set` takes it. Only the first digits of a checksum."""
    if isinstance(value, str) and value.startswith("sha256:"):
        return value.removeprefix("sha256:")[:HASH_DIGITS]
    return set_value(value)


def set_value(value: Any) -> str:
    """A setting as `--set` takes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(set_value, value))}]"
    if isinstance(value, float) and float(short := f"{value:g}".replace("e+0", "e").replace("e+", "e")) == value:
        return short if len(short) < len(f"{value}") - 2 else str(value)
    return str(value)


def _key(arm: LabelledArm) -> str:
    return repr((sorted(flat(arm.identity).items()), arm.fingerprint))


def _free(label: str, taken: set[str]) -> str:
    """The label, with a number where an arm has it already."""
    number, free = 2, label
    while free in taken:
        number, free = number + 1, f"{label}, {number}"
    return free
