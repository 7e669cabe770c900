"""The JSON Schema: every setting is in it, with its documentation, and it says what the loader says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cifar_lab.config import Section, Settings
from cifar_lab.config.io.field_docs import field_docs
from cifar_lab.config.io.schema import json_schema, sheet_schema
from cifar_lab.config.io.setting_keys import choice_key, sections
from cifar_lab.config.sheets import LabSheet, Question, Search, SweepSheet

SCHEMA = json_schema()
CONFIGS = Path(__file__).parents[3] / "configs"


def test_it_is_plain_json() -> None:
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert SCHEMA["additionalProperties"] is False
    assert list(SCHEMA["properties"]) == ["extends", *Settings.model_fields]


def branches(section: str) -> list[dict[str, Any]]:
    part = SCHEMA["properties"][section]
    return list(part.get("oneOf", [part]))


@pytest.mark.parametrize("section", list(sections()))
def test_every_class_of_a_section_is_a_branch(section: str) -> None:
    key = choice_key(section)
    classes = sections()[section]
    for branch, cls in zip(branches(section), classes, strict=False):
        assert set(branch["properties"]) == set(cls.model_fields)
        assert branch.get("required", []) == ([key] if key else [])
    assert len(branches(section)) == len(classes) + bool(key)


@pytest.mark.parametrize("section", list(sections()))
def test_every_setting_has_its_documentation(section: str) -> None:
    for branch in branches(section):
        for name, part in branch["properties"].items():
            if name not in ("name", "dataset"):
                assert part["description"], f"{section}.{name}"
    for cls in sections()[section]:
        own = set(cls.model_fields) - set(field_docs(cls))
        assert own <= {"name", "dataset"}


def test_documentation_is_the_text_below_the_field() -> None:
    patience = next(b for b in branches("scheduler") if b["title"] == "Plateau")["properties"]["patience"]
    assert patience == {
        "default": 5,
        "minimum": 0,
        "type": "integer",
        "description": "Epochs without improvement that are tolerated.",
    }


@pytest.mark.parametrize("sheet", [LabSheet, SweepSheet])
def test_sheets(sheet: type[Section]) -> None:
    schema = sheet_schema(sheet)
    assert json.loads(json.dumps(schema)) == schema
    assert set(schema["properties"]) == set(sheet.model_fields)
    for cls in (sheet, Question, Search):
        part = schema if cls is sheet else schema.get("$defs", {}).get(cls.__name__)
        for name in cls.model_fields if part else ():
            if name not in ("search",):
                assert part["properties"][name]["description"]


def accepts(schema: dict[str, Any], value: Any) -> bool:
    """The part of JSON Schema that the schema uses."""
    if "oneOf" in schema:
        return sum(accepts(branch, value) for branch in schema["oneOf"]) == 1
    if "anyOf" in schema:
        return any(accepts(branch, value) for branch in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return value in schema.get("enum", [schema.get("const")])
    kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict}
    kind = schema.get("type")
    if kind == "null" or kind is None:
        return kind is None or value is None
    if not isinstance(value, kinds[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return False
    if kind == "object" and schema.get("additionalProperties") is False:
        return set(schema.get("required", [])) <= set(value) and all(
            name in schema["properties"] and accepts(schema["properties"][name], item) for name, item in value.items()
        )
    low, high = schema.get("minimum", value), schema.get("maximum", value)
    if kind == "string":
        return re.search(schema.get("pattern", ""), value) is not None
    if kind in ("integer", "number"):
        above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        return low <= value <= high and (above is None or value > above) and (below is None or value < below)
    return True


def shipped() -> Iterator[Path]:
    for path in sorted(CONFIGS.glob("*.yaml")):
        if "base:" not in path.read_text() and "questions:" not in path.read_text():
            yield path


@pytest.mark.parametrize("path", list(shipped()), ids=lambda path: path.name)
def test_shipped_files_fit(path: Path) -> None:
    assert accepts(SCHEMA, yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("optimizer: {lr: 0.1}", True),
        ("optimizer: {name: adam, betas: [0.9, 0.99]}", True),
        ("scheduler: {patience: 3}", True),
        ("model: {name: 'a.b:C', options: {x: 1}}", True),
        ("model: {name: 'a.b:C', pretrained: true}", False),
        ("optimizer: {name: adam, momentum: 0.9}", False),
        ("optimizer: {name: adamm}", False),
        ("optimizer: {lr: 0}", False),
        ("epochs: 0", False),
        ("foo: 1", False),
    ],
)
def test_it_says_what_the_loader_says(text: str, fits: bool) -> None:
    assert accepts(SCHEMA, yaml.safe_load(text)) is fits
