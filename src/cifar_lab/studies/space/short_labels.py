"""Names of points and groups without the settings that are disabled anyway."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cifar_lab.config.io.point_labels import point_label
from cifar_lab.config.io.same_value import same_value
from cifar_lab.config.io.setting_keys import fields_of
from cifar_lab.config.roles import Mark, has_mark

NEUTRAL: Mapping[str, Any] = {"fine_tune.layer_decay": 1, "fine_tune.freeze_epochs": 0}
"""Numbers that disable a setting and are named as such."""

Unnamed = Callable[[str], Any]
"""Value by dotted key of a setting that a label does not name."""


def short_label(values: Mapping[str, Any], unnamed: Unnamed) -> str:
    """The label of a point, without the disabled settings that are disabled without being named, too.

    A setting is named where it is the only one, and where 0.1.0 had it: sweeps of 0.1.0 keep their labels. Labels of
    points that differ stay different, because the omitted values are equal.

    Args:
        unnamed: values of settings that a label does not name.

    Returns:
        Empty where every setting is left out.
    """
    if len(values) == 1:
        return point_label(values)
    return point_label(
        {
            key: value
            for key, value in values.items()
            if not (_is_disabled(key, value) and same_value(key, value, unnamed(key)))
        }
    )


def _is_disabled(key: str, value: Any) -> bool:
    """Whether a setting that came after 0.1.0 is disabled."""
    if not any(has_mark(cls, name, Mark.LATER) for cls, name in fields_of(key)):
        return False
    return value is False or value is None or value in ("none", [], ()) or value == NEUTRAL.get(key, "none")
