"""Files of several arms: settings with `arms` or a `space`, each point of which is trained as an arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cifar_lab.config import Settings
from cifar_lab.config.io.check import to_settings
from cifar_lab.config.io.layers import ancestry, merge, override_layer
from cifar_lab.config.io.sheet_files import sheet_values
from cifar_lab.config.io.shipped import readable
from cifar_lab.config.io.tree import Node, SettingsLayer
from cifar_lab.config.io.values import Check
from cifar_lab.config.io.yaml_files import read_file, top_level_keys
from cifar_lab.config.sheets import SweepSheet
from cifar_lab.core.errors import Problem, SettingsError

POINT_KEYS = ("space", "paired", "exclude", "arms")
"""Keys of a sweep file that state its points."""


def is_arms_file(path: Path) -> bool:
    """Whether a file states several arms. A lab file and a sweep file with a search are none."""
    try:
        keys = top_level_keys(readable(path))
    except OSError:
        return False
    return bool(keys & {"space", "paired", "arms"}) and "questions" not in keys


def load_arms_sheet(path: Path, overrides: Sequence[str] = ()) -> tuple[Settings, SweepSheet]:
    """Load the settings that every arm starts from, and the arms as a sweep of all points.

    The settings are those of the file, above the files of `base` or `extends`.

    Raises:
        SettingsError: every problem of the settings or of the arms; a search, or arms beside a space.
    """
    layer = read_file(path)
    tree: dict[str, Node] = dict(layer.root.value)
    _refuse_search(path, tree)
    points = {key: tree.pop(key) for key in POINT_KEYS if key in tree}
    if "base" in tree and "extends" in tree:
        raise SettingsError([Problem(str(tree["extends"].spot), "extends", "base names this file already; keep one")])
    if "base" in tree:
        tree["extends"] = tree.pop("base")
    tree.pop("label", None)  # an arm is named by what it changes
    layers = ancestry(SettingsLayer(replace(layer.root, value=tree), layer.findings), path)
    for below in layers:
        if isinstance(below.root.value, dict):
            below.root.value.pop("label", None)
    base = to_settings(merge([*layers, override_layer(overrides)]))
    points["base"] = Node(path.name, layer.root.at)
    values = sheet_values(path, Check(), SweepSheet, replace(layer.root, value=points))
    label = base.label or path.stem[:200]
    return base.model_copy(update={"label": label}), SweepSheet.model_validate(values)


def _refuse_search(path: Path, tree: dict[str, Node]) -> None:
    if "search" in tree:
        message = f"this is a sweep file; run it with cifar-lab sweep {path}"
        raise SettingsError([Problem(str(path), "", message)])
    if "arms" in tree and ("space" in tree or "paired" in tree):
        other = "space" if "space" in tree else "paired"
        message = (
            f"arms and {other} are two lists of arms; keep one of them, or choose the best of all with "
            f"cifar-lab sweep {path}"
        )
        raise SettingsError([Problem(str(tree["arms"].spot), "arms", message)])
