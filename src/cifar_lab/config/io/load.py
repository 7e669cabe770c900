"""Public functions of settings: from files, mappings and overrides, and back to YAML."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from cifar_lab.config import Section, Settings
from cifar_lab.config.io.check import checked_values, to_settings
from cifar_lab.config.io.layers import absolute, dict_layers, file_layers, merge, nest, override_layer
from cifar_lab.config.io.setting_keys import choice_key, sections
from cifar_lab.config.io.tree import Node, SettingsLayer, SourceLocation, from_python, resolve
from cifar_lab.config.io.values import Check
from cifar_lab.config.roles import Mark, has_mark, leaves
from cifar_lab.config.rules import contradictions
from cifar_lab.core.errors import LabError, Problem, SettingsError


def load_settings(path: str | Path, overrides: Sequence[str] = ()) -> Settings:
    """Load the settings of a YAML file, with all that it extends.

    The label is not inherited. Where the file states none, the label is the file's stem.

    Args:
        path: the file. Problems name it as it is written here.
        overrides: `key=value` texts such as `optimizer.lr=0.01`, one last layer above the file.

    Raises:
        SettingsError: with every problem found, in the order of files and lines.
    """
    path = Path(path)
    layers = file_layers(path)
    _is_settings(path, layers[-1].root)
    for layer in layers[:-1]:
        if isinstance(layer.root.value, dict):
            layer.root.value.pop("label", None)
    settings = to_settings(merge([*layers, override_layer(overrides)]))
    if settings.label:
        return settings
    stem = os.fsencode(path.stem).decode("utf-8", "replace")[:200]
    return settings.model_copy(update={"label": stem})


def settings_from(
    values: Mapping[str, Any],
    *,
    where: str = "",
    base: Path | None = None,
    overrides: Sequence[str] = (),
) -> Settings:
    """Settings from a mapping of sections, checked as a file is.

    Args:
        where: shown before each problem.
        base: folder of relative paths and of `extends`. None is the current one.
        overrides: as in `load_settings`.

    Raises:
        SettingsError: with every problem found.
    """
    layers = dict_layers(values, where, base)
    return to_settings(merge([*layers, override_layer(overrides)]), where)


def with_values(settings: Settings, values: Mapping[str, Any], *, where: str) -> Settings:
    """Settings changed by dotted keys, by the rules of `--set`: one layer above the stated values.

    Defaults of `settings` that were not stated follow a new choice.

    Args:
        values: such as `{"optimizer.name": "adam", "optimizer.lr": 0.01}`.
        where: shown before each problem.

    Raises:
        SettingsError: with every problem found.
    """
    return to_settings(merge([stated_layer(settings, where), values_layer(values, where, Path.cwd())]), where)


def stated_layer(settings: Settings, where: str) -> SettingsLayer:
    """The explicitly stated values of settings, without defaults."""
    return SettingsLayer(
        from_python(settings.model_dump(mode="json", exclude_unset=True), SourceLocation(source=where))[0]
    )


def values_layer(values: Mapping[str, Any], where: str, folder: Path) -> SettingsLayer:
    """Dotted keys and their values as one layer. Paths are relative to `folder`."""
    spot = SourceLocation(1, source=where)
    pairs: list[tuple[str, Node]] = []
    findings = []
    for key, value in values.items():
        node, below = from_python(value, spot, key)
        findings += below
        pairs.append((key, Node(node.value, spot, spot, broken=node.broken)))
    layer = nest(pairs)
    layer.findings += findings
    layer.root = absolute(layer.root, folder, layer.findings)
    return layer


def _is_settings(path: Path, root: Node) -> None:
    keys = set(root.value) if isinstance(root.value, dict) else set()
    if "base" in keys and keys & {"space", "paired", "arms"}:
        raise SettingsError([Problem(str(path), "", f"this is a sweep file; run it with cifar-lab sweep {path}")])
    if "questions" in keys and "control" in keys:
        message = f"this is a lab file; train all its arms with cifar-lab run --lab {path} --all"
        raise SettingsError([Problem(str(path), "", message)])


_Stated: TypeAlias = tuple[tuple[str, str], ...]
"""Dotted keys of one section and the Python representations of their values, so that 1, 1.0 and true differ."""


class Variations:
    """Cache of `with_values` for thousands of settings that differ from one base in a few values.

    Each distinct section is checked once, and equal sections are one object.
    """

    def __init__(self, base: Settings, *, where: str) -> None:
        """`where`: as in `with_values`."""
        self._base, self._where, self._folder = base, where, Path.cwd()
        self._stated = stated_layer(base, where)
        self._unchanged = self._checked(self._stated)
        self._sections: dict[_Stated, Any] = {}

    def settings(self, values: Mapping[str, Any]) -> Settings:
        """Equal to `with_values(base, values, where=where)`.

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
        """A section or a top-level setting with these values. None where they are invalid."""
        key = tuple((setting, repr(value)) for setting, value in values.items())
        if key not in self._sections:
            stated = self._stated.root.value
            below = SettingsLayer(Node({name: stated[name]} if name in stated else {}))
            settings = self._checked(merge([below, values_layer(values, self._where, self._folder)]))
            self._sections[key] = None if settings is None else getattr(settings, name)
        return self._sections[key]

    def _checked(self, layer: SettingsLayer) -> Settings | None:
        """Settings of a layer, each value checked by itself. None where one is invalid."""
        check = Check(findings=list(layer.findings))
        try:
            settings = checked_values(check, layer.root)
        except SettingsError:
            return None
        return None if check.findings else settings


def dump_settings(settings: Settings) -> str:
    """YAML text of all settings, with defaults except those of `Mark.LATER`. `load_settings` reads the same back.

    The choice of a section comes first, and paths are absolute.
    """
    values = settings.model_dump(mode="json")
    for key, owner, name in leaves(settings):
        if has_mark(type(owner), name, Mark.LATER) and getattr(owner, name) == type(owner).model_fields[name].default:
            del (values if key == name else values[key.partition(".")[0]])[name]
    for section in sections():
        _drop_inner_defaults(values[section], getattr(settings, section))
    for section in sections():
        default = Settings.model_fields[section].default
        if values[section] == {} or (has_mark(Settings, section, Mark.LATER) and getattr(settings, section) == default):
            del values[section]
        elif key := choice_key(section):
            values[section] = {key: values[section].pop(key), **values[section]}
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def _drop_inner_defaults(values: dict[str, Any], section: Section) -> None:
    """Remove sections inside a section that are later and have their defaults."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section) and has_mark(type(section), name, Mark.LATER) and value == field.default:
            values.pop(name, None)


def settings_text(settings: Settings, seed: int) -> str:
    """Text of settings.yaml in the folder of one run."""
    return dump_settings(settings.model_copy(update={"seeds": (seed,)}))


def recorded_settings_text(values: Mapping[str, Any], seed: int) -> str | None:
    """`settings_text` from the settings of a record. None for settings that this version refuses."""
    try:
        return settings_text(Settings.model_validate(values, strict=False), seed)
    except (ValueError, LabError):
        return None


class _Dumper(yaml.SafeDumper):
    """YAML with lists on one line and quotes around texts that `resolve` would convert."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if not text.isprintable() else None if resolve(text) is text else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
