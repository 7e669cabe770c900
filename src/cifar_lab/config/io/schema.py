"""JSON Schema of settings files and sheets, for editors: choices, ranges, and each setting's own documentation.

The text below a field is read from the source by `ast`, when a schema is asked for and not before.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

from cifar_lab.config import Section, Settings, sheets
from cifar_lab.config.io import catalogue

DIALECT = "https://json-schema.org/draft/2020-12/schema"
EXTENDS = {"type": "string", "minLength": 1, "description": "Settings file that this one starts from, relative to it."}


def json_schema() -> dict[str, Any]:
    """The schema of a settings file.

    A section with a choice is `oneOf` its classes, or a part of any of them that leaves the choice to a file that it
    extends or to the default. Nothing is required but the choice: a parent may state the rest.
    """
    properties: dict[str, Any] = {"extends": EXTENDS}
    whole = Settings.model_json_schema()["properties"]
    for name in Settings.model_fields:
        properties[name] = _section_schema(name) if name in catalogue.sections() else _plain(whole[name])
        doc = field_docs(Settings).get(name)
        if doc:
            properties[name]["description"] = doc
    return {
        "$schema": DIALECT,
        "title": "cifar-lab settings",
        "description": _docstring(Settings),
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


def sheet_schema(sheet: type[Section]) -> dict[str, Any]:
    """The schema of a sheet of questions (`LabSheet`) or of a sweep file (`SweepSheet`)."""
    schema = {"$schema": DIALECT, **sheet.model_json_schema()}
    _add_docs(schema, sheet)
    for name, part in schema.get("$defs", {}).items():
        _add_docs(part, getattr(sheets, name))
    return schema


def field_docs(cls: type[Section]) -> dict[str, str]:
    """The documentation of each field of a class, its own or inherited."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, Section):
            docs |= _module_docs(base.__module__).get(base.__name__, {})
    return docs


@cache
def _module_docs(module: str) -> dict[str, dict[str, str]]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: dict(_class_docs(node)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _class_docs(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for statement, below in zip(node.body, node.body[1:], strict=False):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            yield statement.target.id, " ".join(below.value.value.split())


def _docstring(cls: type[Section]) -> str:
    return " ".join((cls.__doc__ or "").split())


def _section_schema(section: str) -> dict[str, Any]:
    classes = catalogue.sections()[section]
    key = catalogue.choice_key(section)
    if not key:
        return _class_schema(classes[0])
    parts: dict[str, Any] = {}
    for cls in classes:
        for name, part in _class_schema(cls)["properties"].items():
            if name != key:
                parts.setdefault(name, part)
    rest = f"Settings of the inherited {section}, or of the default ({catalogue.default_choice(section)})."
    partial = {"description": rest, "type": "object", "additionalProperties": False, "properties": parts}
    return {"oneOf": [*({**_class_schema(cls), "required": [key]} for cls in classes), partial]}


def _class_schema(cls: type[Section]) -> dict[str, Any]:
    schema = cls.model_json_schema()
    _add_docs(schema, cls)
    return {
        "title": schema["title"],
        "description": schema["description"],
        "type": "object",
        "additionalProperties": False,
        "properties": schema["properties"],
    }


def _add_docs(schema: dict[str, Any], cls: type[Section]) -> None:
    schema["description"] = _docstring(cls)
    docs = field_docs(cls)
    for name, part in schema["properties"].items():
        schema["properties"][name] = _plain(part) | ({"description": docs[name]} if name in docs else {})


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Without the titles that pydantic makes from the names."""
    return {key: value for key, value in schema.items() if key != "title"}
