"""Text of docs/settings.md: every key of the files of settings, with its meaning, values and default."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cifar_lab.config import Section, Settings
from cifar_lab.config.attack import ATTACKS
from cifar_lab.config.claims import Claim, ClaimSheet
from cifar_lab.config.io import setting_keys
from cifar_lab.config.io.field_docs import docstring, field_docs
from cifar_lab.config.io.inner_sections import INNER_CHOICE, inner_fields, section_of
from cifar_lab.config.io.messages import describe
from cifar_lab.config.sheets import LabSheet, Question, RobustQuestion, Search, SweepSheet

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
    parts = [_HEAD, "## Settings file\n", f"{docstring(Settings)}\n", _table(_own_keys(Settings), "")]
    for section, classes in setting_keys.sections().items():
        parts += ["", f"## `{section}`\n", *_section(section, classes)]
    parts += ["", "## Lab file\n", f"{docstring(LabSheet)}\n", _table(_fields(LabSheet), "")]
    parts += ["", "### A question\n", f"{docstring(Question)}\n", _table(_fields(Question), "")]
    parts += ["", "### `robust`\n", f"{docstring(RobustQuestion)}\n", _table(_fields(RobustQuestion), "robust")]
    parts += ["", "## Claims file\n", f"{docstring(ClaimSheet)}\n", _table(_fields(ClaimSheet), "")]
    parts += ["", "### A claim\n", f"{docstring(Claim)}\n", _table(_fields(Claim), "")]
    parts += ["", "## Sweep file\n", f"{docstring(SweepSheet)}\n", _table(_fields(SweepSheet), "")]
    parts += ["", "### `search`\n", f"{docstring(Search)}\n", _table(_fields(Search), "search")]
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
        yield f"{docstring(cls)}\n"
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
        yield f"{docstring(cls)}\n"
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
        yield docstring(cls)
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
            yield f"{docstring(inner)}\n"
            yield _table([field for field in _fields(inner) if field[0] != INNER_CHOICE], f"{section}.{key}")


def _items_of(fields: Iterable[tuple[str, FieldInfo, str]], section: str) -> Iterator[str]:
    """Keys of the mappings in a list."""
    for key, field, _ in fields:
        if (item := section_of(field.annotation)) is not None:
            yield f"\n### An entry of `{section}.{key}`\n"
            yield f"{docstring(item)}\n"
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
