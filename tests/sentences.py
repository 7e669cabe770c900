"""Sentences that the program can print, kept in `sentences.txt`, and the prose rules that they keep.

python -m tests.sentences          # write the file again, after a sentence was changed
"""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Iterator
from pathlib import Path

import cifar_lab
from cifar_lab.cli import app
from cifar_lab.config.io.schema import json_schema, sheet_schema
from cifar_lab.config.sheets import LabSheet, SweepSheet

from .test_prose import PER_FORM

PACKAGE = Path(cifar_lab.__file__).parent
TEMPLATES = PACKAGE / "report" / "templates"
FILE = Path(__file__).with_name("sentences.txt")

HEAD = """\
Texts of the program with two words or more, by source file, as `python -m tests.sentences` finds them.
{…} stands for a value. Read the changed lines as a user would before you commit them.
"""

LONGEST_NAME = 24
"""Placeholders with a longer expression are written as {…}."""

WORD = re.compile(r"[^\W\d_]{2,}")

RULES = {
    "a person": r"\b(?:somebody|nobody|someone|a person|persons?)\b",
    "own": r"\bof (?:one's|our|its|their|his|your) own\b",
    "come to": r"\b(?:come|comes|came) to\b",
    "go on": r"\b(?:goes|go|going|went) on\b",
    "hang on": r"\b(?:hangs?|hung) on\b",
    "told": r"\b(?:is|are|was|were) told\b",
    "there already": r"\bthere already\b|\balready there\b",
    "per": (
        r"(?<![-\w])(?:s|ms|MB|GB|kB|MiB|seconds?|minutes?|images?|seeds|bytes|bits|rate) an? "
        r"(?:arm|channel|epoch|image|run|seed|step|worker)\b"
    ),
    "a chart per question": PER_FORM.pattern,
    "detectable difference": r"pp or more in 4 of 5",
    "control": r"\b(?:the|vs|than) baseline\b|\bfirst row\b|\bthe base\b",
    "not one of": r"\bis none of\b|\bnone of these\b",
    "made up": r"\bmade[- ]up\b",
    "no length of time": r"\bis no [a-z]+ of\b",
    "begins like this": r"\bbegins? like (?:this|that|it)\b",
    "anew": r"\banew\b",
}
"""Expression per rule that no sentence matches. What to write instead is in CONTRIBUTING.md."""

EXCEPTIONS: dict[str, tuple[str, ...]] = {}
"""Sentences that a rule names wrongly, by rule: parts of them."""


def collected() -> dict[str, list[str]]:
    """Sentences by source file, in the order of the source."""
    found = {str(path.relative_to(PACKAGE)): list(_of_module(path)) for path in sorted(PACKAGE.rglob("*.py"))}
    found["(command descriptions)"] = [_joined(c.callback.__doc__ or "") for c in app.registered_commands if c.callback]
    found["(settings documentation)"] = list(_descriptions())
    found |= {str(path.relative_to(PACKAGE)): list(_of_template(path)) for path in sorted(TEMPLATES.glob("*.j2"))}
    found |= {str(path.relative_to(PACKAGE)): list(_of_script(path)) for path in sorted(TEMPLATES.glob("*.js"))}
    return {source: sentences for source, sentences in found.items() if sentences}


def file_text() -> str:
    """Content of `sentences.txt`."""
    blocks = (f"\n{source}\n" + "".join(f"    {each}\n" for each in texts) for source, texts in collected().items())
    return HEAD + "".join(blocks)


def broken_rules(sentence: str) -> list[str]:
    """Names of the rules that a sentence breaks."""
    plain = re.sub(r"`[^`]*`", "``", sentence)
    return [
        name
        for name, rule in RULES.items()
        if re.search(rule, plain, re.IGNORECASE) and not any(part in sentence for part in EXCEPTIONS.get(name, ()))
    ]


def _joined(text: str) -> str:
    return " ".join(text.split())


def _is_sentence(text: str) -> bool:
    return " " in text and len(WORD.findall(re.sub(r"\{[^}]*\}", " ", text))) >= 2


def _of_module(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for text in _texts(tree):
        if _is_sentence(text):
            yield _joined(text)


def _texts(node: ast.AST) -> Iterator[str]:
    """String constants and f-strings below a node that are values: docstrings and annotations are not."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(map(_part, node.values))
        for value in node.values:
            if isinstance(value, ast.FormattedValue):
                yield from _texts(value.value)
    else:
        for child in ast.iter_child_nodes(node):
            if not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)):
                yield from _texts(child)


def _part(value: ast.expr) -> str:
    if isinstance(value, ast.Constant):
        return str(value.value)
    expression = ast.unparse(value.value) if isinstance(value, ast.FormattedValue) else ""
    return f"{{{expression}}}" if len(expression) <= LONGEST_NAME and "{" not in expression else "{…}"


def _descriptions() -> Iterator[str]:
    schemas = json_schema(), sheet_schema(LabSheet), sheet_schema(SweepSheet)
    yield from dict.fromkeys(text for schema in schemas for text in _descriptions_in(schema))


def _descriptions_in(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(text := schema.get("description"), str):
            yield _joined(text)
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from _descriptions_in(part)


def _of_template(path: Path) -> Iterator[str]:
    """Texts between the tags of a template, and those of its attributes for readers."""
    source = re.sub(r"<(script|style)\b.*?</\1>|\{#.*?#\}", "\n", path.read_text(encoding="utf-8"), flags=re.S)
    source = re.sub(r"\{%.*?%\}", "\n", re.sub(r"\{\{.*?\}\}", "{…}", source, flags=re.S), flags=re.S)
    labels = re.findall(r'(?:aria-label|title|alt|placeholder)="([^"]*)"', source)
    between = re.split(r"\n\s*\n|\n(?=\s*<)|</?(?!a\b|/a\b|b\b|code\b|em\b|span\b|strong\b|var\b)[a-z][^>]*>", source)
    for text in [*labels, *(re.sub(r"<[^>]*>", "", part) for part in between)]:
        if _is_sentence(_joined(text)):
            yield html.unescape(_joined(text))


def _of_script(path: Path) -> Iterator[str]:
    """String literals of a script."""
    source = re.sub(r"^\s*//.*$|/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.S | re.M)
    for text in re.findall(r'"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`', source):
        plain = _joined(re.sub(r"\$\{[^}]*\}", "{…}", "".join(text)))
        if _is_sentence(plain) and not re.search(r"[<>#;=]|^[a-z-]+ [a-z-]+$|\bvar\(", plain):
            yield plain


if __name__ == "__main__":
    FILE.write_text(file_text(), encoding="utf-8")
