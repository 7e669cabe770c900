"""Strict YAML: text to a tree with a source location for every key and value.

Built on PyYAML's events instead of its composed nodes: nothing is expanded or constructed, nesting costs no recursion,
and every location is known. Refused: anchors, aliases, tags, merge keys, duplicate keys, keys that are not text,
a second document.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from cifar_lab.config.io.tree import (
    MAX_DEPTH,
    MAX_INTEGER,
    UNPRINTABLE,
    Finding,
    Node,
    SettingsLayer,
    SourceLocation,
    dotted,
    resolve,
    shorten,
)
from cifar_lab.core.errors import Problem, SettingsError

MAX_VALUES = 50_000
"""Most keys and values in a file. Leaves room for 10,000 seeds."""
MAX_KEYS = 1_000
"""Most keys in one mapping. Each unknown key costs a search for the nearest known one."""


def parse(text: str, source: str, rank: int = 0, *, lines: bool = True) -> SettingsLayer:
    """Parse one document of any kind. An empty document gives the value None.

    Args:
        lines: False where the text has no line numbers (an override).

    Raises:
        SettingsError: the syntax is wrong: `file:line:column` and a sentence.
    """
    builder = _Builder(source, rank, lines)
    if (bad := UNPRINTABLE.search(text)) is not None:  # of an option: files are refused where they are decoded
        is_undecoded = "\udc80" <= bad[0] <= "\udcff"
        raise builder.error(None, "the text is not UTF-8" if is_undecoded else f"control character U+{ord(bad[0]):04X}")
    loader = yaml.SafeLoader(text)
    try:
        for event in _events(loader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark, sentence = explain(error)
        raise builder.error(mark, sentence) from None
    except (ValueError, OverflowError):
        # PyYAML converts "\UFFFFFFFF" without looking whether there is such a character.
        raise builder.error(loader.get_mark(), "this backslash sequence is not a character") from None
    finally:
        loader.dispose()
    root = builder.root or Node(None, SourceLocation(rank, 1 if lines else 0, 1, source))
    return SettingsLayer(root, builder.findings)


def _events(loader: yaml.SafeLoader) -> Iterator[yaml.Event]:
    while loader.check_event():
        yield loader.get_event()  # type: ignore[no-untyped-call]


@dataclass
class _Open:
    """A mapping or list whose end has not been read."""

    at: SourceLocation
    path: str
    entries: dict[str, Node] | list[Node]
    key: str | None = None
    key_at: SourceLocation | None = None
    skip: bool = False
    """The next value belongs to a key that was refused."""
    broken: bool = False


@dataclass
class _Builder:
    """Build the tree from parser events, one by one. `root` and `findings` are the result."""

    source: str
    rank: int
    lines: bool
    root: Node | None = None
    findings: list[Finding] = field(default_factory=list)
    documents: int = 0
    values: int = 0
    stack: list[_Open] = field(default_factory=list)

    def spot(self, mark: Any) -> SourceLocation:
        return SourceLocation(self.rank, mark.line + 1 if self.lines else 0, mark.column + 1, self.source)

    def error(self, mark: Any, message: str) -> SettingsError:
        if mark is None or not self.lines:
            return SettingsError([Problem(self.source, "", message)])
        return SettingsError([Problem(f"{self.source}:{mark.line + 1}:{mark.column + 1}", "", message)])

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self.error(event.start_mark, "a second document begins here; keep one document per file")
            if event.version or event.tags:
                raise self.error(event.start_mark, "%-directives are not used here; remove the line")
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            done = self.stack.pop()
            self.add(Node(done.entries, done.at, broken=done.broken))
        elif isinstance(event, yaml.NodeEvent):
            self.node(event)

    def node(self, event: Any) -> None:
        at = self.spot(event.start_mark)
        self.values += 1
        if self.values > MAX_VALUES:
            raise self.error(event.start_mark, f"more than {MAX_VALUES:,} values; is this a settings file?")
        as_key = bool(self.stack) and isinstance(self.stack[-1].entries, dict) and self.stack[-1].key is None
        refusal = self.refusal(event)
        if refusal:
            self.findings.append(Finding(at, self.path(), refusal))
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            if as_key:
                raise self.error(event.start_mark, "a key must be plain text, not a list or a mapping")
            if len(self.stack) >= MAX_DEPTH:
                raise self.error(event.start_mark, f"nested deeper than {MAX_DEPTH} levels")
            entries: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
            self.stack.append(_Open(at, self.path(), entries, broken=bool(refusal)))
        elif as_key:
            self.key(event, at, bool(refusal))
        elif refusal:
            self.add(Node(None, at, broken=True))
        else:
            self.add(self.scalar(event, at))

    def refusal(self, event: Any) -> str:
        """Reason why an anchor, alias or tag is refused. Empty for a plain event."""
        if isinstance(event, yaml.AliasEvent):
            return (
                f"aliases (*{shorten(str(event.anchor))}) are not used here; write the value out, or put it in quotes"
            )
        if event.anchor is not None:
            return (
                f"anchors (&{shorten(str(event.anchor))}) are not used here; write the value out, or put it in quotes"
            )
        if getattr(event, "tag", None) is not None:
            return f"tags ({shorten(str(event.tag))}) are not used here; write a plain value"
        return ""

    def path(self) -> str:
        if not self.stack:
            return ""
        top = self.stack[-1]
        if isinstance(top.entries, list):
            return f"{top.path}[{len(top.entries)}]"
        return dotted(top.path, top.key) if top.key is not None else top.path

    def key(self, event: Any, at: SourceLocation, refused: bool) -> None:
        top = self.stack[-1]
        assert isinstance(top.entries, dict)
        if len(top.entries) >= MAX_KEYS:
            raise self.error(event.start_mark, f"more than {MAX_KEYS:,} keys in one mapping; is this a settings file?")
        top.key, top.key_at, top.skip = getattr(event, "value", ""), at, refused
        if refused:
            return
        value = resolve(event.value) if event.style is None else event.value
        message = ""
        if event.value == "<<" and event.style is None:
            message = "merge keys (<<) are not used here; write the settings out, or use extends"
        elif not isinstance(value, str):
            message = f"the key {event.value or 'null'} is not text; put it in quotes"
        elif UNPRINTABLE.search(value):
            message = "a key holds a control character; remove it"
        elif value in top.entries:
            first = top.entries[value].spot
            where = f" on line {first.line}" if first.line else ""
            self.findings.append(Finding(at, self.path(), f"stated twice, first{where}; keep one of them"))
            top.skip = True
        if message:
            self.findings.append(Finding(at, top.path, message))
            top.skip = True

    def scalar(self, event: Any, at: SourceLocation) -> Node:
        text: str = event.value
        value = resolve(text) if event.style is None else text
        message = ""
        if isinstance(value, int) and abs(value) > MAX_INTEGER:
            message = f"the integer {shorten(text, 24)} is too large; the largest is 2^63 − 1"
        elif isinstance(value, float) and not math.isfinite(value):
            message = f"{shorten(text, 24)} is not a finite number"
        elif isinstance(value, str) and UNPRINTABLE.search(value):
            message = "holds a control character; remove it"
        if message:
            self.findings.append(Finding(at, self.path(), message))
        return Node(value, at, text=text, broken=bool(message))

    def add(self, node: Node) -> None:
        if not self.stack:
            self.root = node
            return
        top = self.stack[-1]
        if isinstance(top.entries, list):
            top.entries.append(node)
            top.broken = top.broken or node.broken
            return
        assert top.key is not None
        if not top.skip:
            top.entries[top.key] = replace(node, key_at=top.key_at)
        top.key, top.skip = None, False


OR_QUOTES = "a comma is missing, or a text that contains , ? [ ] { or } is not in quotes"
LINE_UP = "this line does not line up with the ones above; check the indentation"
ONE_DOCUMENT = "a file is one document without directives; remove the lines that begin with %, --- or ..."
NO_TAGS = "tags (!…) are not used here; put the value in quotes"
NO_ALIAS = "a value cannot begin with * or &; put it in quotes"

SYNTAX_MESSAGES = (
    ("quoted scalar", "unexpected end of stream", True, "this quote is never closed"),
    (
        "quoted scalar",
        "unexpected document separator",
        True,
        "this quote is not closed before the line of dashes or dots",
    ),
    (
        "double-quoted scalar",
        "",
        False,
        "this backslash sequence is not known; write \\\\ for a backslash, or use single quotes",
    ),
    ("flow sequence", "", True, f"this [ is never closed, {OR_QUOTES}"),
    ("flow mapping", "", True, f"this {{ is never closed, {OR_QUOTES}"),
    (
        "",
        "mapping values are not allowed here",
        False,
        "a colon where no value can begin; check the indentation, or put the text in quotes",
    ),
    ("", "could not find expected ':'", True, "this line is not 'key: value'; a space must follow the colon"),
    ("block mapping", "", False, LINE_UP),
    ("block collection", "", False, LINE_UP),
    ("block sequence", "", False, LINE_UP),
    ("directive", "", False, ONE_DOCUMENT),
    ("", "directive", False, ONE_DOCUMENT),
    ("", "document start", False, ONE_DOCUMENT),
    ("alias", "", False, NO_ALIAS),
    ("anchor", "", False, NO_ALIAS),
    ("tag", "", False, NO_TAGS),
    ("", "tag", False, NO_TAGS),
    ("block scalar", "", False, "| and > begin a text on the next lines; put the value in quotes"),
)
"""Parts of PyYAML's context and problem, whether the message is located at the opening mark, and the message."""


def explain(error: yaml.MarkedYAMLError) -> tuple[yaml.Mark | None, str]:
    """Location and message of a PyYAML syntax error. An unclosed quote or bracket is located at its start."""
    problem, context = error.problem or "", error.context or ""
    here, opened = error.problem_mark, error.context_mark or error.problem_mark
    message = _about_character(problem, context)
    if message:
        return here, message
    for in_context, in_problem, at_opening, message in SYNTAX_MESSAGES:
        if in_context in context and in_problem in problem:
            return opened if at_opening else here, message
    return here, f"not valid YAML: {problem or context}"


def _about_character(problem: str, context: str) -> str:
    """Message of an error that names a character or token. Empty for any other."""
    character = re.match(r"found character '(.+)' that cannot start any token", problem)
    if character:
        tab = character[1] == "\\t"
        return "a tab; indent with spaces" if tab else f"a value cannot begin with {character[1]}; put it in quotes"
    misplaced = re.search(r"but found '(.+)'$", problem)
    if misplaced and "expected the node content" in problem:
        if misplaced[1] == "<stream end>":
            return "the text ends where a value belongs; close the bracket"
        return f"{misplaced[1].strip('<>')} where a value belongs; remove it, or put the text in quotes"
    if misplaced and misplaced[1] == ":" and "block mapping" in context:
        return "no key before the colon"
    return ""
