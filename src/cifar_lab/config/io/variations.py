"""Thousands of variations of one base: `with_values`, with each section checked once and not once a variation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from cifar_lab.config import Settings
from cifar_lab.config.io.check import checked_values
from cifar_lab.config.io.layers import merge
from cifar_lab.config.io.load import stated_layer, values_layer, with_values
from cifar_lab.config.io.tree import Node, SettingsLayer
from cifar_lab.config.io.values import Check
from cifar_lab.config.rules import contradictions
from cifar_lab.core.errors import SettingsError

_Stated: TypeAlias = tuple[tuple[str, str], ...]
"""Dotted keys of one section and the values that they get, as Python writes them: 1, 1.0 and true are apart."""


class Variations:
    """Settings that differ from one base in a few values. Equal sections of them are one object."""

    def __init__(self, base: Settings, *, where: str) -> None:
        """`where`: as in `with_values`."""
        self._base, self._where, self._folder = base, where, Path.cwd()
        self._stated = stated_layer(base, where)
        self._unchanged = self._checked(self._stated)
        self._sections: dict[_Stated, Any] = {}

    def settings(self, values: Mapping[str, Any]) -> Settings:
        """The same as `with_values(base, values, where=where)`.

        Raises:
            SettingsError: with every problem found.
        """
        groups: dict[str, dict[str, Any]] = {}
        for key, value in values.items():
            groups.setdefault(key.partition(".")[0], {})[key] = value
        sections = {name: self._section(name, group) for name, group in groups.items()}
        if self._unchanged is not None and all(section is not None for section in sections.values()):
            settings = self._unchanged.model_copy(update=sections)
            if not contradictions(settings):
                return settings
        return with_values(self._base, values, where=self._where)  # it says what is wrong

    def _section(self, name: str, values: Mapping[str, Any]) -> Any:
        """A section, or a setting that stands at the top, with these values; None where they do not fit."""
        key = tuple((setting, repr(value)) for setting, value in values.items())
        if key not in self._sections:
            stated = self._stated.root.value
            below = SettingsLayer(Node({name: stated[name]} if name in stated else {}))
            settings = self._checked(merge([below, values_layer(values, self._where, self._folder)]))
            self._sections[key] = None if settings is None else getattr(settings, name)
        return self._sections[key]

    def _checked(self, layer: SettingsLayer) -> Settings | None:
        """What the layer states, each value by itself; None where one of them does not fit."""
        check = Check(findings=list(layer.findings))
        try:
            settings = checked_values(check, layer.root)
        except SettingsError:
            return None
        return None if check.findings else settings
