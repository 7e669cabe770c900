"""Layers of settings: extends chains, `--set`, the deep merge, and absolute paths."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cifar_lab.config.io.inner_sections import INNER_CHOICE, inner_classes
from cifar_lab.config.io.setting_keys import (
    CODE_KEYS,
    PATH_KEYS,
    choice_key,
    chosen,
    default_choice,
    fields_of,
    sections,
)
from cifar_lab.config.io.shipped import beside
from cifar_lab.config.io.strict_yaml import parse
from cifar_lab.config.io.tree import (
    MAX_DEPTH,
    Finding,
    Node,
    SettingsLayer,
    SourceLocation,
    dotted,
    from_python,
    one_line,
    shorten,
)
from cifar_lab.config.io.yaml_files import read_file
from cifar_lab.config.model_options import source_run
from cifar_lab.config.roles import Section
from cifar_lab.core.errors import Problem, SettingsError

OVERRIDES = 1_000_000
"""Rank of overrides: shown after the problems of every file."""


def file_layers(path: Path) -> list[SettingsLayer]:
    """Layers of a file and of all that it extends, the remotest ancestor first.

    Raises:
        SettingsError: a file that is missing, unreadable or no YAML mapping, or a cyclic chain.
    """
    return ancestry(read_file(path), path)


def files_of(path: Path) -> list[Path]:
    """A settings file and all that it extends.

    Raises:
        SettingsError: as `file_layers`.
    """
    found = _Ancestry()
    found.add(read_file(path), path, {os.path.realpath(path): one_line(str(path))})
    return found.files


def ancestry(layer: SettingsLayer, path: Path) -> list[SettingsLayer]:
    """`file_layers` of a file whose layer has been read."""
    return _ancestry(layer, path, one_line(str(path)))


def dict_layers(values: Mapping[str, Any], where: str, base: Path | None) -> list[SettingsLayer]:
    """Layers of a Python mapping. `extends` and paths are relative to `base`."""
    root, findings = from_python(values, SourceLocation(source=where))
    return _ancestry(SettingsLayer(root, findings), (base or Path()) / "settings", "")


MAX_CHAIN = 100
"""Longest chain of files that extend one another."""


def _ancestry(layer: SettingsLayer, path: Path, shown: str) -> list[SettingsLayer]:
    ancestry = _Ancestry()
    ancestry.add(layer, path, {os.path.realpath(path): shown})
    return list(ancestry.layers.values())


class _Ancestry:
    """Layers of a file and of all that it extends. A file that several of them extend counts once, before all."""

    def __init__(self) -> None:
        self.files: list[Path] = []
        """Every file, as it is named."""
        self.layers: dict[str, SettingsLayer] = {}
        """Layer by real path, later ones above earlier ones."""
        self._read = 0

    def add(self, layer: SettingsLayer, path: Path, chain: Mapping[str, str]) -> None:
        """Add a layer above those that it extends. `chain`: the files that lead to it, shown name by real path."""
        root, before = layer.root, set(self.layers)
        self.files.append(path)
        extends = root.value.pop("extends", None) if isinstance(root.value, dict) else None
        for parent, node in _parents(extends, path):
            self._add_parent(parent, node, chain, before)
        self.layers[os.path.realpath(path)] = SettingsLayer(absolute(root, path.parent, layer.findings), layer.findings)

    def _add_parent(self, parent: Path, node: Node, chain: Mapping[str, str], before: set[str]) -> None:
        real, shown = os.path.realpath(parent), one_line(str(parent))
        if real in chain:
            names = " -> ".join([*chain.values(), shown])
            raise _problem(node, f"these files extend each other: {names}; remove one of the links")
        if real in self.layers and real not in before:
            raise _problem(node, f"{shown}: an earlier entry of the list already includes it; name it once, first")
        if len(chain) > MAX_CHAIN:
            raise _problem(node, f"more than {MAX_CHAIN} files extend one another; join some of them")
        if real not in self.layers:
            self._read += 1
            self.add(read_file(parent, node.spot, self._read), parent, {**chain, real: shown})


def _parents(extends: Node | None, path: Path) -> list[tuple[Path, Node]]:
    """Files that a file extends, each with the node that names it. Later ones win."""
    if extends is None or extends.broken:
        return []
    named = extends.value if isinstance(extends.value, list) else [extends]
    if not named or not all(isinstance(node.value, str) and node.value.strip() for node in named):
        raise _problem(extends, "expected the name of a settings file or a list of names, such as baseline.yaml")
    return [(beside(path.parent, node.value), node) for node in named]


def _problem(node: Node, message: str) -> SettingsError:
    return SettingsError([Problem(str(node.spot), "extends", message)])


def override_layer(overrides: Sequence[str]) -> SettingsLayer:
    """Parse `key=value` texts to one layer. Values are strict YAML, paths are relative to the current folder.
    An invalid text becomes a finding of the layer."""
    pairs: list[tuple[str, Node]] = []
    findings: list[Finding] = []
    for number, override in enumerate(overrides):
        spot = SourceLocation(OVERRIDES + number, source=f"--set {shorten(one_line(override), 100)}")
        key, equals, text = override.partition("=")
        key = key.strip()
        if not equals or not all(key.split(".")) or key.count(".") >= MAX_DEPTH:
            findings.append(Finding(spot, "", "expected key=value, such as optimizer.lr=0.01"))
            continue
        if key == "extends":
            findings.append(Finding(spot, key, "only a file can extend another; name that file instead"))
            continue
        try:
            layer = parse(text, spot.source, spot.rank, lines=False)
        except SettingsError as error:
            findings += [Finding(spot, key, problem.message) for problem in error.problems]
            continue
        findings += [replace(found, spot=spot, key=_below(key, found.key)) for found in layer.findings]
        pairs.append((key, _relocate(layer.root, spot)))
    layer = nest(pairs)
    layer.findings += findings
    return SettingsLayer(absolute(layer.root, Path.cwd(), layer.findings), layer.findings)


def _below(key: str, inner: str) -> str:
    return f"{key}{inner}" if not inner or inner.startswith("[") else f"{key}.{inner}"


def _relocate(node: Node, spot: SourceLocation) -> Node:
    value = node.value
    if isinstance(value, dict):
        value = {key: _relocate(child, spot) for key, child in value.items()}
    elif isinstance(value, list):
        value = [_relocate(child, spot) for child in value]
    return replace(node, value=value, at=spot, key_at=spot)


def nest(pairs: Sequence[tuple[str, Node]]) -> SettingsLayer:
    """Dotted keys and their values as one tree of sections."""
    root: dict[str, Node] = {}
    findings: list[Finding] = []
    for key, node in pairs:
        if key.count(".") >= MAX_DEPTH:
            findings.append(Finding(node.spot, dotted("", key), f"nested deeper than {MAX_DEPTH} levels"))
            continue
        *folders, last = key.split(".")
        inner = node
        for name in reversed([*folders[1:], last] if folders else []):
            inner = Node({name: inner}, node.at, node.spot)
        _join(root, folders[0] if folders else last, inner, "", findings)
    return SettingsLayer(Node(root), findings)


def _join(into: dict[str, Node], key: str, node: Node, prefix: str, findings: list[Finding]) -> None:
    here = into.get(key)
    if here is None:
        into[key] = node
    elif isinstance(here.value, dict) and isinstance(node.value, dict):
        children = dict(here.value)
        for name, child in node.value.items():
            _join(children, name, child, dotted(prefix, key), findings)
        into[key] = replace(here, value=children)
    else:
        findings.append(Finding(node.spot, dotted(prefix, key), "stated twice; keep one of them"))


def merge(layers: Sequence[SettingsLayer]) -> SettingsLayer:
    """Merge layers to one tree: later layers win, sections merge key by key, and each value keeps its location.

    A layer that changes a section's choice drops the inherited keys that only the old choice has.
    """
    merged: dict[str, Node] = {}
    for layer in layers:
        if not isinstance(layer.root.value, dict):
            continue
        for key, node in layer.root.value.items():
            if key in merged and isinstance(merged[key].value, dict) and isinstance(node.value, dict):
                inherited = _without_old_inner(key, _without_old_choice(key, merged[key], node), node)
                node = replace(node, value=_deep(inherited.value, node.value))
            merged[key] = node
    return SettingsLayer(Node(merged), [finding for layer in layers for finding in layer.findings])


def _deep(below: dict[str, Node], above: dict[str, Node]) -> dict[str, Node]:
    result = dict(below)
    for key, node in above.items():
        under = result.get(key)
        if under is not None and isinstance(under.value, dict) and isinstance(node.value, dict):
            node = replace(node, value=_deep(under.value, node.value))
        result[key] = node
    return result


def _without_old_choice(section: str, below: Node, above: Node) -> Node:
    key = choice_key(section) if section in sections() else ""
    if not key or key not in above.value:
        return below
    stated = below.value.get(key)
    old = chosen(section, stated.value if stated is not None else default_choice(section))
    new = chosen(section, above.value[key].value)
    if old is None or new is None or old is new:
        return below
    kept = {
        name: node
        for name, node in below.value.items()
        if (name in new.model_fields and name != "options") or name not in old.model_fields
    }
    return replace(below, value=kept)


def _without_old_inner(section: str, below: Node, above: Node) -> Node:
    """The inherited section without keys of an inner section that only its old choice has."""
    kept = dict(below.value)
    for name, node in above.value.items():
        classes, old = _inner_classes(section, name), kept.get(name)
        if not classes or old is None or not isinstance(node.value, dict) or not isinstance(old.value, dict):
            continue
        stated = node.value.get(INNER_CHOICE)
        new = classes.get(stated.value) if stated is not None and isinstance(stated.value, str) else None
        if new is not None:
            kept[name] = replace(old, value={key: each for key, each in old.value.items() if key in new.model_fields})
    return replace(below, value=kept)


def _inner_classes(section: str, name: str) -> dict[str, type[Section]]:
    """Classes of an inner section. Empty for another setting."""
    owners = fields_of(f"{section}.{name}")
    return inner_classes(owners[0][0].model_fields[name].annotation) if owners and section in sections() else {}


def absolute(root: Node, folder: Path, findings: list[Finding]) -> Node:
    """The tree with every path made absolute. An empty path is a finding."""
    if not isinstance(root.value, dict):
        return root
    tree = dict(root.value)
    for dotted_key in PATH_KEYS:
        section, key = dotted_key.split(".")
        if section not in tree or not isinstance(tree[section].value, dict) or key not in tree[section].value:
            continue
        node = absolute_value(dotted_key, tree[section].value[key], folder, findings)
        tree[section] = replace(tree[section], value={**tree[section].value, key: node})
    if "metrics" in tree and isinstance(tree["metrics"].value, list):
        names = [absolute_value("metrics", node, folder, findings) for node in tree["metrics"].value]
        tree["metrics"] = replace(tree["metrics"], value=names)
    return replace(root, value=tree)


def absolute_value(key: str, node: Node, folder: Path, findings: list[Finding]) -> Node:
    """The value of one of PATH_KEYS, with its path made absolute."""
    text = node.value
    if not isinstance(text, str):
        return node
    path, colon, cls = text.rpartition(":") if key in CODE_KEYS else (text, "", "")
    is_package = key in CODE_KEYS and not path.endswith(".py")
    if is_package or (key == "model.weights" and source_run(text) is not None):
        return node
    if not path.strip():
        findings.append(Finding(node.spot, key, "the path is empty; name a file or folder, or write null"))
        return replace(node, broken=True)
    full = os.path.normpath(os.path.join(os.path.abspath(folder), os.path.expanduser(path)))  # noqa: PTH100, PTH111, PTH118
    return replace(node, value=f"{full}{colon}{cls}", text=text)
