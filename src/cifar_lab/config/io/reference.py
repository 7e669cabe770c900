"""The settings reference, docs/settings.md, from the classes of `config` and `sheets` and the text below each field."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cifar_lab.config import SECTION_CHOICES, Section, Settings
from cifar_lab.config.io import catalogue
from cifar_lab.config.io.expected import describe
from cifar_lab.config.io.schema import field_docs
from cifar_lab.config.sheets import LabSheet, Question, Search, SweepSheet

_HEAD = """\
# Settings

Every key of a settings file, a lab sheet and a sweep file, written by `cifar-lab schema --markdown` from the source. A
key that a file leaves out has its default; `extends: other.yaml` starts from another file; `--set section.key=value`
changes one setting of a command. A key that is not here is refused, and so is a value of another kind or out of range.
"""

_SEE = {"search": "How its points are tried, below.", "name": "There is one."}
"""Meanings of keys whose text stands with their class."""


def settings_reference() -> str:
    """The text of docs/settings.md."""
    parts = [_HEAD, "## Settings file\n", f"{_words(Settings.__doc__)}\n", _table(_own_keys(Settings), "")]
    for section, classes in catalogue.sections().items():
        parts += ["", f"## `{section}`\n", *_section(section, classes)]
    parts += ["", "## Lab sheet\n", f"{_words(LabSheet.__doc__)}\n", _table(_fields(LabSheet), "")]
    parts += ["", "### A question\n", f"{_words(Question.__doc__)}\n", _table(_fields(Question), "")]
    parts += ["", "## Sweep file\n", f"{_words(SweepSheet.__doc__)}\n", _table(_fields(SweepSheet), "")]
    parts += ["", "### `search`\n", f"{_words(Search.__doc__)}\n", _table(_fields(Search), "search")]
    return "\n".join(parts) + "\n"


def _own_keys(cls: type[Section]) -> list[tuple[str, FieldInfo, str]]:
    """The fields that are no section."""
    return [field for field in _fields(cls) if field[0] not in catalogue.sections()]


def _fields(cls: type[Section]) -> list[tuple[str, FieldInfo, str]]:
    """(key, field, meaning) of each setting of a class."""
    docs = field_docs(cls)
    meanings = {key: docs.get(key, "") for key in cls.model_fields}
    return [(key, field, meanings[key] or _SEE.get(key, "")) for key, field in cls.model_fields.items()]


def _section(section: str, classes: tuple[type[Section], ...]) -> Iterator[str]:
    choice = catalogue.choice_key(section)
    if not choice:
        (cls,) = classes
        yield f"{_words(cls.__doc__)}\n"
        yield _table(_fields(cls), section)
        return
    names = [catalogue.choice_name(section, cls) for cls in classes]
    words = ", ".join(f"`{name}`" if cls in _named(section) else name for name, cls in zip(names, classes, strict=True))
    yield f"`{section}.{choice}` chooses: {words}. The default is `{names[0]}`."
    shared = [field for field in _fields(classes[0]) if field[0] != choice and _is_shared(field, classes)]
    if shared:
        yield f"\n{_table(shared, section)}"
    known = {key for key, _, _ in shared}
    for name, cls in zip(names, classes, strict=True):
        title = f"`{section}.{choice}: {name}`" if cls in _named(section) else "A class of your own"
        yield f"\n### {title}\n"
        yield _words(cls.__doc__)
        own = [
            field
            for field in _fields(cls)
            if field[0] not in known and (field[0] != choice or cls not in _named(section))
        ]
        if own:
            yield f"\n{_table(own, section)}"


def _named(section: str) -> tuple[type[Section], ...]:
    """The classes that a word chooses."""
    return tuple(SECTION_CHOICES[section][1].values())


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
