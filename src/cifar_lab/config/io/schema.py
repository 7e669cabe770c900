"""Documentation of settings, from the classes and the text below each field: JSON Schema for editors, docs/settings.md.

The source is parsed by `ast` on request only.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cifar_lab.config import Section, Settings, sheets
from cifar_lab.config.attack import ATTACKS
from cifar_lab.config.claims import Claim, ClaimSheet
from cifar_lab.config.io import setting_keys
from cifar_lab.config.io.inner_sections import INNER_CHOICE, inner_fields, section_of
from cifar_lab.config.io.messages import describe
from cifar_lab.config.sheets import LabSheet, Question, RobustQuestion, Search, SweepSheet

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
        "description": _docstring(Settings),
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


def field_docs(cls: type[Section]) -> dict[str, str]:
    """Documentation of each field of a class, inherited fields included."""
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
    schema["description"] = _docstring(cls)
    docs = field_docs(cls)
    for name, part in schema["properties"].items():
        schema["properties"][name] = _plain(part) | ({"description": docs[name]} if name in docs else {})


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without the titles that pydantic derives from names."""
    return {key: value for key, value in schema.items() if key != "title"}


_HEAD = """\
# Settings

Every key of a settings file, a lab file and a sweep file, written by `cifar-lab schema --markdown` from the source. A
key that a file leaves out has its default. `extends: other.yaml` starts from another file. `--set section.key=value`
changes one setting for one command. Unknown keys, wrong types and values out of range are refused.

`extends: [baseline.yaml, adam.yaml]` starts from several files. A later file overrides an earlier one, and the file
itself overrides both. Each of them may extend other files. A file that several of them extend is read once.
There are no variables: a file shows its values as they are. Put shared values into a third file.
"""

_SEE = {"search": "Search of the points, see below.", "name": "The only choice."}
"""Meanings of keys that are documented at their class."""


def settings_reference() -> str:
    """Text of docs/settings.md."""
    parts = [_HEAD, "## Settings file\n", f"{_words(Settings.__doc__)}\n", _table(_own_keys(Settings), "")]
    for section, classes in setting_keys.sections().items():
        parts += ["", f"## `{section}`\n", *_section(section, classes)]
    parts += ["", "## Lab file\n", f"{_words(LabSheet.__doc__)}\n", _table(_fields(LabSheet), "")]
    parts += ["", "### A question\n", f"{_words(Question.__doc__)}\n", _table(_fields(Question), "")]
    parts += ["", "### `robust`\n", f"{_words(RobustQuestion.__doc__)}\n", _table(_fields(RobustQuestion), "robust")]
    parts += ["", "## Claims file\n", f"{_words(ClaimSheet.__doc__)}\n", _table(_fields(ClaimSheet), "")]
    parts += ["", "### A claim\n", f"{_words(Claim.__doc__)}\n", _table(_fields(Claim), "")]
    parts += ["", "## Sweep file\n", f"{_words(SweepSheet.__doc__)}\n", _table(_fields(SweepSheet), "")]
    parts += ["", "### `search`\n", f"{_words(Search.__doc__)}\n", _table(_fields(Search), "search")]
    parts += ["", "## Attack file\n", _ATTACKS, *_attacks()]
    return "\n".join(parts).rstrip("\n") + "\n"


_ATTACKS = """\
Settings of `cifar-lab attack --attack FILE`. `name` chooses the attack, `pgd` where it is missing. `--attack NAME`
takes an attack with its defaults. Distances are in the pixel range 0 to 1, and fractions such as `8/255` are numbers.
"""


def _attacks() -> Iterator[str]:
    """Tables of the settings of every attack."""
    for name, cls in ATTACKS.items():
        yield f"### `{name}`\n"
        yield f"{_words(cls.__doc__)}\n"
        yield f"{_table([field for field in _fields(cls) if field[0] != 'name'], '')}\n"


def _own_keys(cls: type[Section]) -> list[tuple[str, FieldInfo, str]]:
    """Fields that are not sections."""
    return [field for field in _fields(cls) if field[0] not in setting_keys.sections()]


def _fields(cls: type[Section]) -> list[tuple[str, FieldInfo, str]]:
    """(key, field, meaning) of each setting of a class."""
    docs = field_docs(cls)
    meanings = {key: docs.get(key, "") for key in cls.model_fields}
    return [(key, field, meanings[key] or _SEE.get(key, "")) for key, field in cls.model_fields.items()]


OWN_TITLES = {"model": "Your class", "optimizer": "Your optimizer", "scheduler": "Your schedule", "loss": "Your loss"}
"""Titles of the classes that a name of the user's code chooses."""


def _section(section: str, classes: tuple[type[Section], ...]) -> Iterator[str]:
    choice = setting_keys.choice_key(section)
    if not choice:
        (cls,) = classes
        yield f"{_words(cls.__doc__)}\n"
        yield _table(_fields(cls), section)
        return
    names = [setting_keys.choice_name(section, cls) for cls in classes]
    words = ", ".join(
        f"`{name}`" if _has_word(section, cls) else name for name, cls in zip(names, classes, strict=True)
    )
    yield f"`{section}.{choice}` chooses: {words}. The default is `{names[0]}`."
    shared = [field for field in _fields(classes[0]) if field[0] != choice and _is_shared(field, classes)]
    if shared:
        yield f"\n{_table(shared, section)}"
    yield from _items_of(shared, section)
    known = {key: field.default for key, field, _ in shared}
    for name, cls in zip(names, classes, strict=True):
        title = f"`{section}.{choice}: {name}`" if _has_word(section, cls) else OWN_TITLES[section]
        yield f"\n### {title}\n"
        yield _words(cls.__doc__)
        if arguments := getattr(getattr(cls, "component", None), "arguments", ()):
            yield f"\nOptions: {', '.join(f'`{name}`' for name in arguments)}."
        own = [
            field
            for field in _fields(cls)
            if (field[0] not in known or known[field[0]] != field[1].default)
            and (field[0] != choice or not _has_word(section, cls))
        ]
        if own:
            yield f"\n{_table(own, section)}"
        yield from _inner_sections(cls, section)


def _inner_sections(cls: type[Section], section: str) -> Iterator[str]:
    """Settings of the sections in a class."""
    for key, classes in inner_fields(cls).items():
        for name, inner in classes.items():
            yield f"\n#### `{section}.{key}.name: {name}`\n"
            yield f"{_words(inner.__doc__)}\n"
            yield _table([field for field in _fields(inner) if field[0] != INNER_CHOICE], f"{section}.{key}")


def _items_of(fields: Iterable[tuple[str, FieldInfo, str]], section: str) -> Iterator[str]:
    """Keys of the mappings in a list."""
    for key, field, _ in fields:
        if (item := section_of(field.annotation)) is not None:
            yield f"\n### An entry of `{section}.{key}`\n"
            yield f"{_words(item.__doc__)}\n"
            yield _table(_fields(item), "")


def _has_word(section: str, cls: type[Section]) -> bool:
    """Whether a word chooses the class. A custom model is chosen by its path."""
    return setting_keys.chosen(section, setting_keys.choice_name(section, cls)) is cls


def _is_shared(field: tuple[str, FieldInfo, str], classes: Iterable[type[Section]]) -> bool:
    """Whether all classes that a word chooses have this key with the same default and meaning."""
    key, info, meaning = field
    others = [
        (cls.model_fields.get(key), field_docs(cls).get(key, ""))
        for cls in classes
        if "options" not in cls.model_fields
    ]
    return all(other is not None and other.default == info.default and doc == meaning for other, doc in others)


def _table(fields: Iterable[tuple[str, FieldInfo, str]], section: str) -> str:
    lines = ["| key | meaning | value | default |", "| --- | --- | --- | --- |"]
    for key, field, meaning in fields:
        name = f"`{section}.{key}`" if section else f"`{key}`"
        value = describe(field.annotation, tuple(field.metadata))
        lines.append(f"| {name} | {_cell(meaning)} | {_cell(value)} | {_default(field)} |")
    return "\n".join(lines)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "none: must be given"
    value: Any = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or isinstance(value, Section):
        return "see there"
    return f"`{json.dumps(value)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _words(doc: str | None) -> str:
    return " ".join((doc or "").split())
