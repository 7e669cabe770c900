"""Values with their source location: the form of settings until they are validated."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cifar_lab.core.errors import Problem, SettingsError

UNPRINTABLE = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that YAML 1.2 calls not printable (chapter 5.1): control characters, lone surrogates."""

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

MAX_DIGITS = 400
"""Digits of an integer that are parsed. More are refused as too large, and Python converts at most 4,300."""


def resolve(text: str) -> bool | int | float | str | None:
    """Value of a plain scalar: None, bool, int, float, or the text itself (YAML 1.2 core schema, fewer number forms).

    Unlike YAML 1.1, `yes`, `no`, `on`, `off`, dates, `1:30`, `1_000` are text and `1e-3` is a number. Unlike YAML 1.2,
    `0123` and `0x1F` are text too, because they are rarely meant as 83 and 31.
    """
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if _INTEGER.fullmatch(text):
        return int(text[:MAX_DIGITS])
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def as_number(text: str) -> str:
    """The number that a text probably means (`1_000`, `0123`, `1,5`), as YAML writes it. Empty for any other text."""
    bare = text.strip()
    bare = re.sub(r"(?<=[0-9])[_'](?=[0-9])", "", bare)
    bare = re.sub(r"(?<=[0-9]),(?=[0-9]{3}\b)", "", bare)
    bare = re.sub(r"^([-+]?)0+(?=[0-9])", r"\1", bare)
    bare = re.sub(r"^([-+]?[0-9]+),([0-9]+)$", r"\1.\2", bare)
    value = resolve(bare)
    return bare if isinstance(value, int | float) and not isinstance(value, bool) else ""


MAX_DEPTH = 20
"""Levels of nesting. The deepest setting has three."""
MAX_INTEGER = 2**63 - 1


@dataclass(frozen=True, order=True, slots=True)
class SourceLocation:
    """Position of a value in a file or an override. Locations sort in the order in which problems are shown."""

    rank: int = 0
    """0 is the file that was asked for, 1 its parent, …, and overrides come last."""
    line: int = 0
    """Counted from 1. 0 for an override or a Python value, which have no lines."""
    column: int = 0
    source: str = ""

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source


@dataclass(frozen=True, order=True)
class Finding:
    """A problem, sorted by its location."""

    spot: SourceLocation
    key: str
    message: str

    def problem(self, fallback: str = "") -> Problem:
        return Problem(str(self.spot) or fallback, self.key, self.message)


def refuse(findings: list[Finding], fallback: str = "") -> None:
    """Raise SettingsError with all findings in order, each once. No findings, no error."""
    if findings:
        raise SettingsError([finding.problem(fallback) for finding in sorted(set(findings))])


@dataclass(frozen=True, slots=True)
class Node:
    """A value: None, bool, int, float, str, a list of nodes or a dict of nodes by key."""

    value: Any
    at: SourceLocation = SourceLocation()
    """Start of the value."""
    key_at: SourceLocation | None = None
    """Start of its key. None for a list item or the root."""
    text: str = ""
    """A scalar as it was written."""
    broken: bool = False
    """Already reported: the value must not be used."""

    @property
    def spot(self) -> SourceLocation:
        """Location that messages show for this setting: its key, else its value."""
        return self.key_at or self.at


@dataclass
class SettingsLayer:
    """Settings stated by one file, or by all overrides together, with the findings so far."""

    root: Node
    findings: list[Finding] = field(default_factory=list)


def plain(node: Node) -> Any:
    """The value as Python objects, without broken entries."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items() if not child.broken}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value if not child.broken]
    return node.value


def walk(node: Node, key: str = "") -> Iterator[tuple[str, Node]]:
    """The node and all its descendants, with their dotted keys."""
    yield key, node
    if isinstance(node.value, dict):
        for name, child in node.value.items():
            yield from walk(child, dotted(key, name))
    elif isinstance(node.value, list):
        for index, child in enumerate(node.value):
            yield from walk(child, f"{key}[{index}]")


def dotted(prefix: str, key: str) -> str:
    """`prefix.key`. A long or unprintable key is shown as a Python string."""
    shown = key if key.isprintable() and 0 < len(key) <= 60 else shorten(repr(key))
    return f"{prefix}.{shown}" if prefix else shown


def one_line(text: str) -> str:
    """The text itself, or its Python representation where it holds a line break or an unprintable character."""
    return text if text.isprintable() else repr(text)


def shorten(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def from_python(value: Any, at: SourceLocation, key: str = "", depth: int = 0) -> tuple[Node, list[Finding]]:
    """Convert a Python value to a tree. Values that YAML cannot express become findings."""
    if depth > MAX_DEPTH:
        return Node(None, at, broken=True), [Finding(at, key, f"nested deeper than {MAX_DEPTH} levels")]
    findings: list[Finding] = []
    if isinstance(value, Mapping):
        children: dict[str, Node] = {}
        for name, item in value.items():
            if not isinstance(name, str):
                findings.append(Finding(at, key, f"the key {shorten(repr(name))} is not a string"))
                continue
            children[name], below = from_python(item, at, dotted(key, name), depth + 1)
            findings += below
        return Node(children, at), findings
    if isinstance(value, list | tuple):
        pairs = [from_python(item, at, f"{key}[{i}]", depth + 1) for i, item in enumerate(value)]
        findings = [finding for _, below in pairs for finding in below]
        return Node([node for node, _ in pairs], at, broken=bool(findings)), findings
    if isinstance(value, Path):
        value = str(value)
    reason = _unsayable(value)
    if reason:
        return Node(None, at, broken=True), [Finding(at, key, reason)]
    return Node(value, at), findings


def _unsayable(value: Any) -> str:
    if type(value) not in (type(None), bool, int, float, str):
        kind = type(value)
        return f"a {kind.__module__}.{kind.__qualname__} is not a setting; give a plain number, string or list"
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        return "this integer is too large; the largest is 2^63 − 1"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is not a finite number"
    if isinstance(value, str) and UNPRINTABLE.search(value):
        return "holds a control character; remove it"
    return ""


def axis_parts(node: Node) -> list[tuple[str, Node]]:
    """(suffix of its key, node) of each part of an axis: itself, or the entries of a list of axes with conditions."""
    entries = node.value if isinstance(node.value, list) else []
    if entries and all(isinstance(part.value, dict) and "when" in part.value for part in entries):
        return [(f"[{index}]", part) for index, part in enumerate(entries)]
    return [("", node)]


def is_range(node: Node) -> bool:
    """Whether an axis, or a part of it, is written as a range."""
    return any(isinstance(part.value, dict) and "values" not in part.value for _, part in axis_parts(node))
