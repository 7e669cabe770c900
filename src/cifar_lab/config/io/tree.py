"""Values that remember where they were written: the form in which settings travel until they are validated."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cifar_lab.config.io.scalars import UNPRINTABLE
from cifar_lab.core.errors import Problem, SettingsError

MAX_DEPTH = 20
"""Levels of nesting; the deepest setting has three."""
MAX_INTEGER = 2**63 - 1


@dataclass(frozen=True, order=True, slots=True)
class SourceLocation:
    """A place that a person can go to. Spots sort in the order in which problems are shown."""

    rank: int = 0
    """0 is the file that was asked for, 1 its parent, …; overrides come last."""
    line: int = 0
    """1 is the first; 0 where there are no lines (an override, a Python value)."""
    column: int = 0
    source: str = ""

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source


@dataclass(frozen=True, order=True)
class Finding:
    """A problem and the spot by which it is sorted."""

    spot: SourceLocation
    key: str
    message: str

    def problem(self, fallback: str = "") -> Problem:
        return Problem(str(self.spot) or fallback, self.key, self.message)


def refuse(findings: list[Finding], fallback: str = "") -> None:
    """Raise SettingsError with all findings in order, each once; do nothing where there is none."""
    if findings:
        raise SettingsError([finding.problem(fallback) for finding in sorted(set(findings))])


@dataclass(frozen=True, slots=True)
class Node:
    """A value: None, bool, int, float, str, a list of nodes or a dict of nodes by key."""

    value: Any
    at: SourceLocation = SourceLocation()
    """Where the value begins."""
    key_at: SourceLocation | None = None
    """Where its key begins; None for a list item or the whole."""
    text: str = ""
    """A scalar as it was written."""
    broken: bool = False
    """Already reported: the value must not be looked at."""

    @property
    def spot(self) -> SourceLocation:
        """Where a person looks for this setting: its key."""
        return self.key_at or self.at


@dataclass
class SettingsLayer:
    """What one file, or all overrides together, states; and what is wrong with it before any meaning is sought."""

    root: Node
    findings: list[Finding] = field(default_factory=list)


def plain(node: Node) -> Any:
    """The value as Python has it; broken entries are left out."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items() if not child.broken}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value if not child.broken]
    return node.value


def walk(node: Node, key: str = "") -> Iterator[tuple[str, Node]]:
    """The node and all below it, with their dotted keys."""
    yield key, node
    if isinstance(node.value, dict):
        for name, child in node.value.items():
            yield from walk(child, dotted(key, name))
    elif isinstance(node.value, list):
        for index, child in enumerate(node.value):
            yield from walk(child, f"{key}[{index}]")


def dotted(prefix: str, key: str) -> str:
    """`prefix.key`; a key that would not fit on one line is shown as a Python string."""
    shown = key if key.isprintable() and 0 < len(key) <= 60 else shorten(repr(key))
    return f"{prefix}.{shown}" if prefix else shown


def one_line(text: str) -> str:
    """The text itself, or as a Python string where it holds a line break or what cannot be printed."""
    return text if text.isprintable() else repr(text)


def shorten(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def from_python(value: Any, at: SourceLocation, key: str = "", depth: int = 0) -> tuple[Node, list[Finding]]:
    """A Python value as a tree; what YAML could not have said is a finding."""
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
