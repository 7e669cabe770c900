"""Check of one value against one field of a class, with a message on failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from cifar_lab.config import Section
from cifar_lab.config.io.inner_sections import INNER_CHOICE, inner_classes, is_section
from cifar_lab.config.io.messages import describe, found, hint, item_type, several_values, show
from cifar_lab.config.io.nearest_name import did_you_mean
from cifar_lab.config.io.tree import Finding, Node, plain


@dataclass
class Check:
    """Collector of findings."""

    findings: list[Finding] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)
    """Dotted keys whose values must not be used."""

    def report(self, node: Node, key: str, message: str) -> None:
        self.findings.append(Finding(node.spot, key, message))
        self.bad.add(key.partition("[")[0])


def expected_of(info: FieldInfo) -> str:
    """`expected …`, for a field as a whole."""
    return f"expected {describe(info.annotation, tuple(info.metadata))}"


def value_fits(check: Check, cls: type[Section], name: str, key: str, node: Node) -> bool:
    """Whether a class accepts a value for one of its fields. Reports each mismatch."""
    if inner := inner_classes(cls.model_fields[name].annotation):
        return _inner_fits(check, inner, key, node)
    try:
        cls.model_validate({name: plain(node)})
    except ValidationError as error:
        parts = [tuple(item["loc"][1:]) for item in error.errors(include_url=False) if item["loc"][0] == name]
        types = [item["type"] for item in error.errors(include_url=False) if item["loc"][0] == name]
        info = cls.model_fields[name]
        if any(parts):
            # pydantic counts only the good items of a list; the bad ones are reported by themselves.
            types, parts = [t for t, p in zip(types, parts, strict=True) if p], [p for p in parts if p]
        reported: set[str] = set()
        for location, kind in zip(parts, types, strict=True):
            here, path, annotation, metadata = _descend(node, location, info)
            if kind == "missing" and is_section(annotation):
                path += f".{location[-1]}"
            if path not in reported:
                reported.add(path)
                message = _key_mismatch(location, kind, info) or _mismatch(here, kind, annotation, metadata)
                several = "" if "did you mean" in message else several_values(here, key)
                check.report(here, key + path, message + several)
        return not reported
    return True


def _inner_fits(check: Check, inner: Mapping[str, type[Section]], key: str, node: Node) -> bool:
    """Whether an inner section has valid values. Reports each mismatch."""
    before = len(check.findings)
    default = next(iter(inner))
    if not isinstance(node.value, dict):
        name = node.value if isinstance(node.value, str) else default
        check.report(
            node, key, f"{found(node)}; expected a section, such as {key.rpartition('.')[2]}: {{name: {name}}}"
        )
        return False
    stated: Node = node.value.get(INNER_CHOICE, Node(default))
    choice = stated.value
    if not isinstance(choice, str) or choice not in inner:
        near = did_you_mean(choice, inner) if isinstance(choice, str) else ""
        check.report(stated, f"{key}.{INNER_CHOICE}", f"{show(stated)} is not one of: {', '.join(inner)}{near}")
        return False
    cls = inner[choice]
    for name, child in node.value.items():
        here = f"{key}.{name}"
        if name in cls.model_fields:
            value_fits(check, cls, name, here, child)
        else:
            own = [each for each in cls.model_fields if each != INNER_CHOICE]
            near = did_you_mean(name, own) or f"; its settings are {', '.join(own)}"
            check.report(child, here, f"{choice} has no {name}{near}")
    return len(check.findings) == before


def _descend(node: Node, location: tuple[str | int, ...], info: FieldInfo) -> tuple[Node, str, Any, tuple[Any, ...]]:
    """Node that a pydantic error refers to, its path below the field, and the type and limits expected there."""
    annotation, metadata, path = info.annotation, tuple(info.metadata), ""
    for part in location:
        if isinstance(node.value, list) and isinstance(part, int) and part < len(node.value):
            node, path = node.value[part], f"{path}[{part}]"
        elif isinstance(node.value, dict) and isinstance(part, str) and part in node.value:
            node, path = node.value[part], f"{path}.{part}"
        else:
            break
        annotation, metadata = item_type(annotation, part), ()
    return node, path, annotation, metadata


def _key_mismatch(location: tuple[str | int, ...], kind: str, info: FieldInfo) -> str:
    """Message for an unknown or a missing key of a mapping in a list. Empty for anything else."""
    owner: Any = info.annotation
    for part in location[:-1]:
        owner = item_type(owner, part)
    if not is_section(owner) or not isinstance(name := location[-1], str):
        return ""
    if kind == "extra_forbidden":
        keys = owner.model_fields
        return f"no such setting{did_you_mean(name, keys) or '; the settings are ' + ', '.join(keys)}"
    return f"missing; {expected_of(owner.model_fields[name])}" if kind == "missing" else ""


_OUT_OF_RANGE = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal"})


def _mismatch(node: Node, kind: str, annotation: Any, metadata: tuple[Any, ...]) -> str:
    wanted = describe(annotation, metadata)
    suggestion = hint(node, annotation, metadata)
    if kind in _OUT_OF_RANGE:
        return f"{show(node)} is out of range; expected {wanted}"
    if kind == "literal_error" and isinstance(node.value, str):
        return f"{show(node)} is not one of: {wanted.removeprefix('one of ')}{suggestion}"
    if kind == "string_pattern_mismatch":
        return f"{show(node)} does not fit; expected {wanted}"
    if kind == "string_too_long":
        return f"{len(node.value):,} characters are too many; expected {wanted}"
    if kind == "string_too_short":
        return f"the text is empty; expected {wanted}"
    if isinstance(node.value, list) and kind in ("too_long", "too_short", "missing"):
        size = f"found a list of {len(node.value):,}" if node.value else "the list is empty"
        limit = _longest(metadata) if kind == "too_long" else 0
        return f"{size}; expected {wanted}{f', at most {limit:,} of them' if limit else ''}"
    return f"{found(node)}; expected {wanted}{suggestion}"


def _longest(metadata: tuple[Any, ...]) -> int:
    return next((item.max_length for item in metadata if getattr(item, "max_length", None) is not None), 0)
