"""Rules of docstrings and names, read from the source.

List what is left, of all packages or of some:   PYTHONPATH=src python tests/test_prose.py [PACKAGE ...]
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import cifar_lab
from cifar_lab.cli import app
from cifar_lab.config.io.schema import json_schema, sheet_schema
from cifar_lab.config.sheets import LabSheet, SweepSheet

PACKAGE = Path(cifar_lab.__file__).parent

SEMICOLON_SHARE = 0.02
"""Largest share of docstrings with a semicolon."""

EVENT_CODEC = "execution/events.py"
"""The one file that turns events into mappings and back."""

OPENER = re.compile(r"(What|Who|How|Which|Where|Why)\b")

BANNED = re.compile(
    r"\b(somebody|nobody|a person|of (?:one's|our|its|their|his|your) own"
    r"|(?:come|comes|came) to|goes on|went on|hangs? on|hung on|(?:is|are) told)\b"
)

QUOTED = re.compile(r"`[^`]*`")
"""Code and examples of output, to which the rules of sentences do not apply."""

PER_FORM = re.compile(
    r"\b(?:a|an|one) (?!(?:and|as|at|but|by|for|from|has|if|in|is|of|on|or|such|than|that|to|when|where|which|with)\b)"
    r"[a-z]+ an? (?:arm|batch|chart|class|cohort|core|epoch|file|image|line|member|point|question|row|run|seed|step|"
    r"sweep|table|worker)\b",
    re.IGNORECASE,
)
"""`a chart a question`, for which English has `per`."""


class Doc(NamedTuple):
    """A docstring: of a module, class, function, or below a field."""

    path: Path
    line: int
    text: str
    is_bool: bool
    """Whether its function returns a truth value, or its field is one."""

    @property
    def package(self) -> str:
        return package_of(self.path)


def package_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def is_bool(node: ast.AST) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.returns is not None and "bool" in ast.unparse(node.returns)
    if isinstance(node, ast.AnnAssign):
        return "bool" in ast.unparse(node.annotation)
    return isinstance(node, ast.Assign) and ast.unparse(node.value) in ("True", "False")


def text_of(node: ast.AST) -> str | None:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return node.value.value
    return None


def docs_of(path: Path, tree: ast.Module) -> Iterator[Doc]:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        for before, statement in zip([node, *body], body, strict=False):
            documented = isinstance(before, ast.Assign | ast.AnnAssign) or (
                before is node and isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            )
            text = text_of(statement)
            if documented and text is not None:
                yield Doc(path, statement.lineno, text, is_bool(before))


SOURCES = {path: path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {path: ast.parse(source) for path, source in SOURCES.items()}
DOCS = [doc for path, tree in TREES.items() for doc in docs_of(path, tree)]
PACKAGES = sorted({package_of(path) for path in SOURCES})


def words(text: str) -> str:
    return " ".join(text.split())


def descriptions(schema: object) -> Iterator[str]:
    """Every description in a JSON schema."""
    if isinstance(schema, dict):
        if isinstance(found := schema.get("description"), str):
            yield found
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from descriptions(part)


def printed_texts() -> frozenset[str]:
    """Docstrings that the program prints: `--help` of the commands, documentation of the settings."""
    commands = {words(command.callback.__doc__ or "") for command in app.registered_commands if command.callback}
    schemas = json_schema(), sheet_schema(LabSheet), sheet_schema(SweepSheet)
    return frozenset(commands.union(*map(descriptions, schemas)))


PRINTED = printed_texts()
"""The rules do not apply to these. They are sentences of the user interface."""


def findings(doc: Doc) -> Iterator[str]:
    """Rules that a docstring breaks."""
    if words(doc.text) in PRINTED:
        return
    first = doc.text.strip().partition("\n")[0]
    whole = words(doc.text)
    if opener := OPENER.match(first):
        yield f"begins with {opener[1]}: {first}"
    if first.startswith("Whether ") and not doc.is_bool:
        yield f"begins with Whether and is no truth value: {first}"
    if ";" in QUOTED.sub("", first):
        yield f"semicolon in the first line: {first}"
    yield from (f"“{found[0]}”: {whole[max(0, found.start() - 30) :][:90]}" for found in BANNED.finditer(whole))
    yield from (f"write per for “{found[0]}”" for found in PER_FORM.finditer(whole))


def has_semicolon(doc: Doc) -> bool:
    return ";" in QUOTED.sub("", doc.text) and words(doc.text) not in PRINTED


def listed(package: str) -> list[str]:
    """`file:line: rule` for every finding of a package."""
    return [
        f"{doc.path.relative_to(PACKAGE.parent.parent)}:{doc.line}: {finding}"
        for doc in DOCS
        if doc.package == package
        for finding in findings(doc)
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_keep_the_rules(package: str) -> None:
    assert listed(package) == []


def test_few_docstrings_have_a_semicolon() -> None:
    found = Counter(doc.package for doc in DOCS if has_semicolon(doc))
    assert found.total() <= SEMICOLON_SHARE * len(DOCS), found


def doubled_classes() -> dict[str, list[str]]:
    places: dict[str, list[str]] = {}
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(f"{path.relative_to(PACKAGE.parent)}:{node.lineno}")
    return {name: where for name, where in places.items() if len(where) > 1}


def test_no_class_name_means_two_things() -> None:
    assert doubled_classes() == {}


def event_keys() -> Counter[str]:
    counts = {str(path.relative_to(PACKAGE)): source.count('event["') for path, source in SOURCES.items()}
    return Counter({path: count for path, count in counts.items() if count and path != EVENT_CODEC})


def test_events_are_typed_outside_their_codec() -> None:
    assert event_keys() == {}


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("What a run left.", 1),
        ("Whether it is done.", 1),
        ("The last epoch; None before the first.", 1),
        ("A line an epoch, read by nobody.", 2),
        ("A chart a question.", 1),
        ("A name of its own.", 1),
        ("`61.51 to 63.65; n = 5`, percent.", 0),
        ("Mean accuracy per epoch of a run.\n\nOne that a run has; the rest is kept.", 0),
    ],
)
def test_each_rule_is_noticed(text: str, broken: int) -> None:
    assert len(list(findings(Doc(PACKAGE / "api.py", 1, text, is_bool=False)))) == broken


def report(packages: list[str]) -> None:
    for package in packages or PACKAGES:
        lines = listed(package)
        sys.stdout.write("".join(f"{line}\n" for line in lines) + f"{package}: {len(lines)} findings\n")
    semicolons = sum(map(has_semicolon, DOCS))
    sys.stdout.write(f"semicolons: {semicolons} of {len(DOCS)} docstrings ({semicolons / len(DOCS):.1%})\n")
    sys.stdout.write(f"doubled class names: {doubled_classes()}\n")
    sys.stdout.write(f'event["…"]: {event_keys().total()} {dict(event_keys())}\n')


if __name__ == "__main__":
    report(sys.argv[1:])
