"""Validation of a tree against the classes of `cifar_lab.config`: every problem in one pass, or Settings."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import ValidationError

from cifar_lab.config import Section, Settings
from cifar_lab.config.io import setting_keys
from cifar_lab.config.io.messages import found, several_values, show
from cifar_lab.config.io.nearest_name import did_you_mean, nearest
from cifar_lab.config.io.tree import Finding, Node, SettingsLayer, dotted, plain, refuse
from cifar_lab.config.io.values import Check, expected_of, value_fits
from cifar_lab.config.rules import contradictions

INSTEAD = {
    ("one_cycle", "warmup_epochs"): "set pct_start instead",
    ("one_cycle", "min_lr"): "set final_div_factor instead",
    ("adam", "momentum"): "set the first of betas instead",
    ("adamw", "momentum"): "set the first of betas instead",
    ("adam", "options"): "for its other arguments name torch.optim:Adam, which torch executes",
    ("adamw", "options"): "for its other arguments name torch.optim:AdamW, which torch executes",
    ("sgd", "options"): "for its other arguments name torch.optim:SGD, which torch executes",
}
"""Advice for a setting that the chosen class expresses otherwise."""

_FUNCTION = "takes a function or other schedulers, which a settings file cannot hold; name your function file.py:NAME"

REFUSED = {
    ("optimizer", "sparseadam"): "takes sparse gradients only, and those of a network here are dense; set adam",
    ("scheduler", "lambdalr"): _FUNCTION,
    ("scheduler", "multiplicativelr"): _FUNCTION,
    ("scheduler", "sequentiallr"): _FUNCTION,
    ("scheduler", "chainedscheduler"): _FUNCTION,
}
"""Classes of torch that no setting offers, by their names in lower case, with the reason."""


def to_settings(layer: SettingsLayer, where: str = "") -> Settings:
    """Settings from a merged tree.

    Args:
        where: shown for a problem in a default, which has no location.

    Raises:
        SettingsError: with every problem, in the order of files and lines.
    """
    check = Check(findings=list(layer.findings))
    settings = checked_values(check, layer.root, where)
    for key, sentence in contradictions(settings, ignore=check.bad):
        node = _nearest_node(layer.root, key)
        check.findings.append(Finding(node.spot, key, sentence))
    refuse(check.findings, where)
    return settings


def checked_values(check: Check, root: Node, where: str = "") -> Settings:
    """Settings from the individually valid values. Invalid ones are reported and keep their defaults.

    Args:
        where: as in `to_settings`.

    Raises:
        SettingsError: a required value of a section is invalid, so no settings can be built.
    """
    values: dict[str, Any] = {}
    for key, node in root.value.items():
        if key not in Settings.model_fields:
            check.report(node, dotted("", key), _unknown_top(key))
        elif node.broken:
            check.bad.add(key)
        elif key in setting_keys.sections():
            section = _section(check, key, node)
            if section is not None:
                values[key] = section
        elif value_fits(check, Settings, key, key, node):
            values[key] = plain(node)
    try:
        return Settings.model_validate(values)
    except ValidationError:
        # A required value of a section is bad: it has been reported, and the rules can say nothing about the section.
        refuse(check.findings, where)
        raise


def _nearest_node(root: Node, key: str) -> Node:
    """The node of a key, or of its section where the key has its default."""
    section, _, name = key.partition(".")
    node: Node = root.value.get(section, root)
    if not name or not isinstance(node.value, dict):
        return node
    choice: Node = node.value.get(setting_keys.choice_key(section), node)
    stated: Node = node.value.get(name, choice)
    return stated


def _unknown_top(key: str) -> str:
    if key in setting_keys.dotted_keys():
        section, _, name = key.partition(".")
        return f"no such setting at the top level — did you mean {name} in section {section}?"
    close = nearest(key, Settings.model_fields)
    if close:
        return f"no such setting — did you mean {close}?"
    inside = setting_keys.dotted_keys_of(key)
    if inside:
        return f"no such setting at the top level — did you mean {' or '.join(inside)}?"
    return f"no such setting; the settings are {', '.join(Settings.model_fields)}"


def _section(check: Check, section: str, node: Node) -> dict[str, Any] | None:
    """The valid values of a section, with its choice filled in. None where the section cannot be built."""
    if not isinstance(node.value, dict):
        check.report(node, section, _not_a_section(section, node))
        return None
    classes = setting_keys.sections()[section]
    key = setting_keys.choice_key(section)
    values: dict[str, Any] = {}
    cls: type[Section] | None = classes[0]
    if key:
        cls, values = _choice(check, section, key, node)
    for name, child in node.value.items():
        if name == key or child.broken:
            if child.broken:
                check.bad.add(f"{section}.{name}")
            continue
        target = cls if cls is not None else _any_owner(classes, name)
        here = dotted(section, name)
        if target is None or name not in target.model_fields:
            words = _target_words(section, child.value) if name == "_target_" else ""
            message = words or _unknown_in_section(section, target, name, stated=key in node.value)
            check.report(child, here, message)
        elif value_fits(check, target, name, here, child):
            values[name] = plain(child)
    if cls is None:
        check.bad.add(section)
        return None
    return values if _complete(check, section, cls, node, values) else None


def _target_words(section: str, value: Any) -> str:
    """Equivalent of Hydra's `_target_` in a section."""
    key = setting_keys.choice_key(section)
    if not key:
        return "Hydra's _target_ has no equivalent here; remove it"
    last = value.rpartition(".")[2] if isinstance(value, str) else ""
    known = nearest(last, setting_keys.known_choices(section)) or setting_keys.default_choice(section)
    return f"Hydra's _target_ is {key} here; write {section}.{key}: {known}"


def _choice(check: Check, section: str, key: str, node: Node) -> tuple[type[Section] | None, dict[str, Any]]:
    """Class that the section chooses, and its choice as a value. No class where the choice is invalid or misspelt."""
    stated = node.value.get(key)
    if stated is None:
        keys = setting_keys.section_keys(section)
        if any(name not in keys and nearest(name, keys) == key for name in node.value):
            return None, {}
        default = setting_keys.default_choice(section)
        return setting_keys.chosen(section, default), {key: default}
    if stated.broken:
        return None, {}
    cls = setting_keys.chosen(section, stated.value)
    here = f"{section}.{key}"
    if cls is None:
        known = setting_keys.known_choices(section)
        if isinstance(stated.value, str) and (why := REFUSED.get((section, stated.value.lower().replace("_", "")))):
            message = f"{stated.value} {why}"
        elif isinstance(stated.value, str):
            message = f"{show(stated)} is not one of: {', '.join(known)}{did_you_mean(stated.value, known)}"
            message += several_values(stated, here)
        else:
            message = f"{found(stated)}; expected one of {', '.join(known)}"
        check.report(stated, here, message)
        return None, {}
    if not value_fits(check, cls, key, here, stated):
        return None, {}
    return cls, {key: stated.value}


def _complete(check: Check, section: str, cls: type[Section], node: Node, values: dict[str, Any]) -> bool:
    """Whether every required value is stated and valid. Reports those that are not stated."""
    complete = True
    for name, info in cls.model_fields.items():
        if not info.is_required() or name in values:
            continue
        complete = False
        check.bad.add(section)
        if name not in node.value:
            choice = node.value.get(setting_keys.choice_key(section), node)
            here = f"{section}.{name}"
            wanted = "expected a path" if here in setting_keys.PATH_KEYS else expected_of(info)
            check.report(choice, here, f"missing; {show(choice)} needs it, {wanted}")
    return complete


def _not_a_section(section: str, node: Node) -> str:
    key = setting_keys.choice_key(section)
    if key and isinstance(node.value, str):
        return f"{show(node)} is text; expected a section: {section}: {{{key}: {node.value}}}"
    first = key or setting_keys.section_keys(section)[0]
    return f"{found(node)}; expected a section with keys such as {section}.{first}"


def _any_owner(classes: tuple[type[Section], ...], name: str) -> type[Section] | None:
    return next((cls for cls in classes if name in cls.model_fields), None)


def _unknown_in_section(section: str, cls: type[Section] | None, name: str, *, stated: bool) -> str:
    everywhere = setting_keys.section_keys(section)
    if cls is None or not setting_keys.choice_key(section):
        return unknown(name, everywhere)
    key = setting_keys.choice_key(section)
    own = [field_name for field_name in cls.model_fields if field_name != key]
    choice = setting_keys.choice_name(section, cls)
    if name not in everywhere:
        close = nearest(name, cls.model_fields) or nearest(name, everywhere)
        return f"no such setting — did you mean {close}?" if close else unknown(name, own)
    if (choice, name) in INSTEAD:
        return f"{choice} has no {name}; {INSTEAD[choice, name]}"
    if not stated:
        others = " or ".join(setting_keys.owners(section, name))
        return f"{choice}, the default, has no {name}; set {section}.{key}: {others}"
    return f"{choice} has no {name}; its settings are {', '.join(own)}"


def unknown(name: str, known: Collection[str]) -> str:
    """The message for an unknown key."""
    if name.isdecimal():  # `{lr: 0,01}` is a key `01` without a value
        return "a comma ends a value here; write decimal numbers with a point, such as 0.01"
    return f"no such setting{did_you_mean(name, known) or '; the settings are ' + ', '.join(known)}"
