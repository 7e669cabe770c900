"""Files, mappings and overrides to Settings: the functions that the rest of the program calls."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cifar_lab.config import Settings
from cifar_lab.config.io.check import to_settings
from cifar_lab.config.io.layers import absolute, dict_layers, file_layers, merge, nest, override_layer
from cifar_lab.config.io.tree import Node, SettingsLayer, SourceLocation, from_python
from cifar_lab.core.errors import Problem, SettingsError


def load_settings(path: str | Path, overrides: Sequence[str] = ()) -> Settings:
    """The settings that a YAML file states, with all that it extends.

    The label is the file's own: it is not inherited, and where it is not stated it is the file's stem.

    Args:
        path: the file; problems name it as it is written here.
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
    """The settings that a mapping of sections states, checked as a file is.

    Args:
        where: shown before each problem.
        base: folder of relative paths and of `extends`; None is the current one.
        overrides: as in `load_settings`.

    Raises:
        SettingsError: with every problem found.
    """
    layers = dict_layers(values, where, base)
    return to_settings(merge([*layers, override_layer(overrides)]), where)


def with_values(settings: Settings, values: Mapping[str, Any], *, where: str) -> Settings:
    """Settings changed by dotted keys, by the rules of `--set`: one layer above what was stated before.

    What `settings` only has by default follows a new choice's own defaults.

    Args:
        values: such as `{"optimizer.name": "adam", "optimizer.lr": 0.01}`.
        where: shown before each problem.

    Raises:
        SettingsError: with every problem found.
    """
    return to_settings(merge([stated_layer(settings, where), values_layer(values, where, Path.cwd())]), where)


def stated_layer(settings: Settings, where: str) -> SettingsLayer:
    """What settings state themselves, without what they have by default."""
    return SettingsLayer(
        from_python(settings.model_dump(mode="json", exclude_unset=True), SourceLocation(source=where))[0]
    )


def values_layer(values: Mapping[str, Any], where: str, folder: Path) -> SettingsLayer:
    """Dotted keys and their values as one layer; paths are relative to `folder`."""
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
        message = f"this is a sheet of questions; train all its arms with cifar-lab run --lab {path} --all"
        raise SettingsError([Problem(str(path), "", message)])
