"""JSON Schema of settings files, lab files, sweep files and claims files, for editors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cifar_lab.config import Section, Settings, sheets
from cifar_lab.config.claims import Claim
from cifar_lab.config.io import setting_keys
from cifar_lab.config.io.field_docs import docstring, field_docs
from cifar_lab.config.io.inner_sections import INNER_CHOICE, inner_fields, section_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
EXTENDS = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
    ],
    "description": "Settings file that this file extends, relative to it. In a list, later files override earlier.",
}


def json_schema() -> dict[str, Any]:
    """JSON Schema of a settings file.

    A section with a choice is `oneOf` its classes, or a part of any of them that leaves the choice to an extended file
    or to the default. Only the choice is required, because a parent may state the rest.
    """
    properties: dict[str, Any] = {"extends": EXTENDS}
    whole = Settings.model_json_schema()["properties"]
    for name in Settings.model_fields:
        properties[name] = _section_schema(name) if name in setting_keys.sections() else _plain(whole[name])
        doc = field_docs(Settings).get(name)
        if doc:
            properties[name]["description"] = doc
    return {
        "$schema": DIALECT,
        "title": "cifar-lab settings",
        "description": docstring(Settings),
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


def sheet_schema(sheet: type[Section]) -> dict[str, Any]:
    """JSON Schema of a lab file (`LabSheet`), a sweep file (`SweepSheet`) or a claims file (`ClaimSheet`)."""
    schema = {"$schema": DIALECT, **sheet.model_json_schema()}
    _add_docs(schema, sheet)
    for name, part in schema.get("$defs", {}).items():
        _add_docs(part, Claim if name == Claim.__name__ else getattr(sheets, name))
    return schema


def _section_schema(section: str) -> dict[str, Any]:
    classes = setting_keys.sections()[section]
    key = setting_keys.choice_key(section)
    if not key:
        return _class_schema(classes[0])
    return _choice_schema(section, classes, key, setting_keys.default_choice(section))


def _choice_schema(section: str, classes: Sequence[type[Section]], key: str, default: str) -> dict[str, Any]:
    """Schema of a section whose `key` chooses its class."""
    parts: dict[str, Any] = {}
    for cls in classes:
        for name, part in _class_schema(cls)["properties"].items():
            if name != key:
                parts.setdefault(name, part)
    rest = f"Settings of the inherited {section}, or of the default ({default})."
    partial = {"description": rest, "type": "object", "additionalProperties": False, "properties": parts}
    return {"oneOf": [*({**_class_schema(cls), "required": [key]} for cls in classes), partial]}


def _class_schema(cls: type[Section]) -> dict[str, Any]:
    schema = cls.model_json_schema()
    _add_docs(schema, cls)
    for name, inner in inner_fields(cls).items():
        schema["properties"][name] = _choice_schema(name, list(inner.values()), INNER_CHOICE, next(iter(inner)))
        schema["properties"][name]["description"] = field_docs(cls)[name]
    for name, field in cls.model_fields.items():
        if (item := section_of(field.annotation)) is not None:
            schema["properties"][name]["items"] = _class_schema(item) | {"required": _required(item)}
    return {
        "title": schema["title"],
        "description": schema["description"],
        "type": "object",
        "additionalProperties": False,
        "properties": schema["properties"],
    }


def _required(cls: type[Section]) -> list[str]:
    return [name for name, field in cls.model_fields.items() if field.is_required()]


def _add_docs(schema: dict[str, Any], cls: type[Section]) -> None:
    schema["description"] = docstring(cls)
    docs = field_docs(cls)
    for name, part in schema["properties"].items():
        schema["properties"][name] = _plain(part) | ({"description": docs[name]} if name in docs else {})


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without the titles that pydantic derives from names."""
    return {key: value for key, value in schema.items() if key != "title"}
