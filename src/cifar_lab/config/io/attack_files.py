"""Settings of an attack: by the name of an attack or from a YAML file, with overrides above, as strict as settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cifar_lab.config import Settings
from cifar_lab.config.attack import ATTACKS, AnyAttack, EpsOptions
from cifar_lab.config.io.layers import merge, override_layer
from cifar_lab.config.io.messages import show
from cifar_lab.config.io.nearest_name import did_you_mean, nearest
from cifar_lab.config.io.setting_keys import dotted_keys
from cifar_lab.config.io.shipped import file_exists
from cifar_lab.config.io.tree import Node, SettingsLayer, SourceLocation, plain, refuse, walk
from cifar_lab.config.io.values import Check, value_fits
from cifar_lab.config.io.yaml_files import read_file
from cifar_lab.core.errors import SettingsError

DEFAULT_ATTACK = "pgd"


def load_attack(wanted: str, overrides: Sequence[str] = (), where: Path | None = None) -> AnyAttack:
    """Settings of an attack.

    Args:
        wanted: the name of an attack, or a YAML file with `name` and its settings.
        overrides: `key=value` texts such as `steps=100`.
        where: folder of a file whose name is relative. None is the current one.

    Raises:
        SettingsError: with every problem found.
    """
    layers = [_base(wanted, where), override_layer(overrides)]
    merged = merge(layers)
    return _checked(merged, wanted)


def _base(wanted: str, where: Path | None) -> SettingsLayer:
    if wanted in ATTACKS:
        spot = SourceLocation(source=wanted)
        return SettingsLayer(Node({"name": Node(wanted, spot, spot)}, spot))
    path = Path(wanted) if where is None else where / wanted
    if path.suffix not in (".yaml", ".yml") and not file_exists(path):
        close = did_you_mean(wanted, ATTACKS)
        raise SettingsError(f"--attack: {wanted!r} is neither a file nor one of {', '.join(ATTACKS)}{close}")
    return read_file(path)


def _checked(layer: SettingsLayer, wanted: str) -> AnyAttack:
    check = Check(findings=list(layer.findings))
    stated: dict[str, Node] = dict(layer.root.value)
    cls = _class_of(check, stated.get("name"))
    values: dict[str, Any] = {}
    for key, node in stated.items():
        if cls is None or node.broken:
            continue
        if _is_of_runs(cls, key, node):
            leaf = next(name for name, each in walk(node, key) if not isinstance(each.value, dict) or not each.value)
            check.report(node, leaf, _of_runs(cls))
        elif key not in cls.model_fields:
            check.report(node, key, _unknown(cls, key))
        elif value_fits(check, cls, key, key, node) if key != "name" else True:
            values[key] = plain(node)
    refuse(check.findings, wanted)
    assert cls is not None
    attack: AnyAttack = cls.model_validate({"name": "pgd", **values})
    _refuse_large(attack, stated)
    return attack


def _class_of(check: Check, node: Node | None) -> type[AnyAttack] | None:
    """Class of the attack that is named. PGD where none is."""
    if node is None:
        return ATTACKS[DEFAULT_ATTACK]
    if isinstance(node.value, str) and node.value in ATTACKS:
        return ATTACKS[node.value]
    hint = did_you_mean(node.value, ATTACKS) if isinstance(node.value, str) else ""
    check.report(node, "name", f"{show(node)} is not one of: {', '.join(ATTACKS)}{hint}")
    return None


def _is_of_runs(cls: type[AnyAttack], key: str, node: Node) -> bool:
    """Whether a key is a setting of training and not one of this attack."""
    if isinstance(node.value, dict):
        return key in Settings.model_fields
    if nearest(key, _own(cls)) or _attacks_with(key):
        return False
    return key in Settings.model_fields or any(key == each.rpartition(".")[2] for each in dotted_keys())


def _of_runs(cls: type[AnyAttack]) -> str:
    return (
        "a setting of training, and the runs are trained; to attack runs that have it, name them by id, label or "
        f"settings file; the settings of {_name(cls)} are {', '.join(_own(cls))}"
    )


def _own(cls: type[AnyAttack]) -> list[str]:
    return [name for name in cls.model_fields if name != "name"]


def _attacks_with(key: str) -> list[str]:
    """Names of the attacks that have this setting."""
    return [name for name, cls in ATTACKS.items() if key in cls.model_fields]


def _name(cls: type[AnyAttack]) -> str:
    return next(name for name, other in ATTACKS.items() if other is cls)


def refuse_attack_settings(overrides: Sequence[str]) -> None:
    """Refuse overrides of attacks where a lab file states these.

    Raises:
        SettingsError: an override is a setting of attacks.
    """
    check = Check()
    for key, node in override_layer(overrides).root.value.items():
        if key not in Settings.model_fields and _attacks_with(key):
            check.report(
                node, key,
                "a setting of attacks, which robust.attack of a question states; with --lab, --set changes the "
                "settings of arms",
            )  # fmt: skip
    refuse(check.findings)


def _unknown(cls: type[AnyAttack], key: str) -> str:
    if close := nearest(key, _own(cls)):
        return f"no such setting — did you mean {close}?"
    if owners := _attacks_with(key):
        return f"{_name(cls)} has no {key}, which is a setting of {', '.join(owners)}; omit it"
    return f"no such setting; the settings of {_name(cls)} are {', '.join(_own(cls))}"


def _refuse_large(attack: AnyAttack, stated: dict[str, Node]) -> None:
    """Refuse an L-inf distance above the range of a pixel.

    Raises:
        SettingsError: it is.
    """
    if not isinstance(attack, EpsOptions) or attack.norm != "linf" or attack.distances[-1] <= 1:
        return
    largest = attack.distances[-1]
    hint = f"; write {largest:g}/255 for {largest:g} of 255 values" if largest <= 255 else ""
    check = Check()
    check.report(stated["eps"], "eps", f"{largest:g} is above 1, the range of a pixel{hint}")
    refuse(check.findings)
