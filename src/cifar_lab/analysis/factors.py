"""In which settings an arm differs from its control, told from what both resolve to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cifar_lab.config import OptimizerOptions, Settings
from cifar_lab.config.roles import idle_fields, leaves, role_of

ABSENT = "—"
"""In the place of a setting that the other choice does not have."""


@dataclass(frozen=True)
class SettingChange:
    """A setting in which two arms differ."""

    key: str
    control: Any
    arm: Any

    def __str__(self) -> str:
        return f"{self.key} {_text(self.control)} → {_text(self.arm)}"


def changes(control: Settings, arm: Settings) -> list[SettingChange]:
    """Every resolved setting in which the arm differs from its control, in the order of the settings."""
    theirs, ours = _resolved(control), _resolved(arm)
    return [
        SettingChange(key, _shown(theirs, key), _shown(ours, key))
        for key in dict.fromkeys([*theirs, *ours])
        if _shown(theirs, key) != _shown(ours, key) and (_has_effect(theirs, key) or _has_effect(ours, key))
    ]


class _Setting(NamedTuple):
    """A resolved setting."""

    value: Any
    has_effect: bool
    """Whether another value could change a number beyond rounding."""


def _resolved(settings: Settings) -> dict[str, _Setting]:
    """Dotted key → setting, in the order of the settings. The inner keys of a mapping are settings too."""
    found = {}
    for key, owner, name in leaves(settings):
        effect = role_of(type(owner), name).changes_numbers and name not in idle_fields(owner, settings)
        for inner, value in _flat(owner.model_dump(mode="json", include={name})).items():
            found[key.removesuffix(name) + inner] = _Setting(value, effect)
    return found


def _shown(settings: Mapping[str, _Setting], key: str) -> Any:
    return settings[key].value if key in settings else ABSENT


def _has_effect(settings: Mapping[str, _Setting], key: str) -> bool:
    return key in settings and settings[key].has_effect


def factors(control: Settings, arm: Settings) -> dict[str, list[SettingChange]]:
    """What was varied → the settings that make it up.

    A model, a schedule and an optimizer are one factor with the settings that only they have; the learning rate and
    weight decay of another optimizer are factors of their own, unless both are their class's default.
    """
    found: dict[str, list[SettingChange]] = {}
    for change in changes(control, arm):
        found.setdefault(_factor(change, control, arm), []).append(change)
    return found


def told(changed: Sequence[SettingChange], arm: Settings) -> str:
    """What a factor comes to: `optimizer.name sgd → adam`; of the settings that only the arm has, those that are not
    their default."""
    kept = [change for change in changed if ABSENT not in (change.control, change.arm) or _is_set(change, arm)]
    return ", ".join(map(str, kept))


def _is_set(change: SettingChange, arm: Settings) -> bool:
    """Whether the arm has a setting that its control has not, at another value than the default."""
    section, _, name = change.key.partition(".")
    fields = type(getattr(arm, section)).model_fields
    return change.arm != ABSENT and name in fields and getattr(getattr(arm, section), name) != fields[name].default


def outside(found: Sequence[str], stated: Sequence[str]) -> list[str]:
    """Factors that are no part of those that the question states: keys, or sections that hold them."""
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
    """Whether neither optimizer was told this setting."""
    return name == "weight_decay" and all(
        getattr(each.optimizer, name) == type(each.optimizer).model_fields[name].default for each in (control, arm)
    )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _text(value: Any) -> str:
    return {True: "on", False: "off", None: "none"}[value] if value is None or isinstance(value, bool) else str(value)
