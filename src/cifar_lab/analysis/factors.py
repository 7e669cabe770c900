"""Settings in which arms differ: the factors that an arm varies, and a table over several arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import ValidationError

from cifar_lab.config import OptimizerOptions, Settings
from cifar_lab.config.io.setting_keys import keys_with
from cifar_lab.config.own_code import short_name
from cifar_lab.config.roles import Role, idle_fields, leaves, role_of
from cifar_lab.core.errors import DataError
from cifar_lab.core.text import setting_words
from cifar_lab.store.records import Record

ABSENT = "—"
"""Value shown for a setting that an arm does not have."""


@dataclass(frozen=True)
class SettingChange:
    """Setting in which two arms differ."""

    key: str
    control: Any
    arm: Any

    def __str__(self) -> str:
        before, after = _text(self.control), _text(self.arm)
        if short_name(before) != short_name(after):
            before, after = short_name(before), short_name(after)
        return f"{self.key} {before} → {after}"


def changes(control: Settings, arm: Settings) -> list[SettingChange]:
    """Resolved settings in which the arm differs from its control, in the order of the settings."""
    theirs, ours = _resolved(control), _resolved(arm)
    return [
        SettingChange(key, _shown(theirs, key), _shown(ours, key))
        for key in dict.fromkeys([*theirs, *ours])
        if _shown(theirs, key) != _shown(ours, key) and (_has_effect(theirs, key) or _has_effect(ours, key))
    ]


def settings_of(record: Record) -> Settings:
    """Settings of a run, with its seed alone.

    Raises:
        DataError: this version does not know them.
    """
    try:
        return Settings.model_validate({**record.settings, "seeds": [record.seed]}, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "settings"
        raise DataError(
            f"run {record.run_id}: this version cannot read its settings ({key}: {first['msg']}); install the version "
            "that wrote it"
        ) from error


class _Setting(NamedTuple):
    """A resolved setting."""

    value: Any
    has_effect: bool
    """Whether another value could change a number beyond rounding."""


def _resolved(settings: Settings) -> dict[str, _Setting]:
    """Settings by dotted key, in the order of the settings. Inner keys of a mapping count as settings."""
    found = {}
    for key, owner, name in leaves(settings):
        effect = role_of(type(owner), name).changes_numbers and name not in idle_fields(owner, settings)
        for inner, value in _flat(owner.model_dump(mode="json", include={name})).items():
            if value != {}:
                found[key.removesuffix(name) + inner] = _Setting(value, effect)
    return found


def _shown(settings: Mapping[str, _Setting], key: str) -> Any:
    return settings[key].value if key in settings else ABSENT


def _has_effect(settings: Mapping[str, _Setting], key: str) -> bool:
    return key in settings and settings[key].has_effect


def factors(control: Settings, arm: Settings) -> dict[str, list[SettingChange]]:
    """Factors that the arm varies, each with the settings that it consists of.

    A model, a schedule and an optimizer are one factor with the settings that only they have. The learning rate and
    weight decay of another optimizer are separate factors, unless both are the default of their class.
    """
    found: dict[str, list[SettingChange]] = {}
    for change in changes(control, arm):
        found.setdefault(_factor(change, control, arm), []).append(change)
    return found


def factor_words(changed: Sequence[SettingChange], arm: Settings) -> str:
    """A factor in words: `optimizer.name sgd → adam`.

    Of the settings that only the arm has, it names those that differ from their default.
    """
    kept = [change for change in changed if ABSENT not in (change.control, change.arm) or _is_set(change, arm)]
    return ", ".join(map(str, kept))


def _is_set(change: SettingChange, arm: Settings) -> bool:
    """Whether only the arm has the setting, at another value than the default."""
    section, _, name = change.key.partition(".")
    fields = type(getattr(arm, section)).model_fields
    return change.arm != ABSENT and name in fields and getattr(getattr(arm, section), name) != fields[name].default


def unstated_factors(found: Sequence[str], stated: Sequence[str]) -> list[str]:
    """Factors that the question does not state, by their key or by a section that holds it."""
    return [name for name in found if not any(name == key or name.startswith(key + ".") for key in stated)]


def _factor(change: SettingChange, control: Settings, arm: Settings) -> str:
    section, _, last = change.key.partition(".")
    if section in ("model", "scheduler"):
        return section
    other = control.optimizer.name != arm.optimizer.name
    is_own = last not in OptimizerOptions.model_fields
    if section == "optimizer" and other and (is_own or _both_default(last, control, arm)):
        return section
    return change.key


def _both_default(name: str, control: Settings, arm: Settings) -> bool:
    """Whether both optimizers have the setting at the default of their class."""
    return name == "weight_decay" and all(
        getattr(each.optimizer, name) == type(each.optimizer).model_fields[name].default for each in (control, arm)
    )


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {True: "on", False: "off", None: "none"}[value]
    return setting_words(value) if _has_mappings(value) else str(value)


def _has_mappings(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(each, Mapping) for each in value)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted key. An empty mapping is a value."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        nested = isinstance(value, Mapping) and value
        flat |= _flat(value, f"{prefix}{name}.") if nested else {prefix + name: value}
    return flat


# --- a table over several arms ----------------------------------------------------------------------------------------


def settings_that_differ(arms: Sequence[Mapping[str, Any] | None]) -> list[tuple[str, list[str]]]:
    """(dotted key, value in each arm) of every setting that is not the same in all arms.

    Args:
        arms: the settings of each, as its records have them. None of an arm without runs, whose values are empty.

    Returns:
        A dash stands for a setting that an arm does not have.
    """
    words = [None if arm is None else {key: setting_words(value) for key, value in _flat(arm).items()} for arm in arms]
    not_shown = keys_with(Role.LABEL, Role.SOURCE)
    keys = sorted({key for values in words if values is not None for key in values if key not in not_shown})
    rows = []
    for key in keys:
        values = [None if each is None else each.get(key, "–") for each in words]
        if len({value for value in values if value is not None}) > 1:
            rows.append((key, ["" if value is None else value for value in values]))
    return rows
