"""A file's bytes to a tree: UTF-8, one YAML mapping, not more than 1 MB."""

from __future__ import annotations

import codecs
from pathlib import Path

from cifar_lab.config.io.scalars import UNPRINTABLE
from cifar_lab.config.io.strict_yaml import parse
from cifar_lab.config.io.tree import SettingsLayer, shorten
from cifar_lab.core.errors import Problem, SettingsError

MAX_BYTES = 1_000_000
"""Largest file in bytes. Settings are written by people; the shipped files have less than a thousandth of it."""


def read_layer(path: Path, source: str, rank: int = 0) -> SettingsLayer:
    """The mapping that a file holds.

    Raises:
        OSError, ValueError: the file cannot be opened.
        SettingsError: it is not one YAML mapping.
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise SettingsError([Problem(source, "", f"more than {MAX_BYTES:,} bytes; is this a settings file?")])
    layer = parse(decode(content, source), source, rank)
    if layer.root.broken or isinstance(layer.root.value, dict):
        return layer
    if layer.root.value is None:
        raise SettingsError([Problem(source, "", "the file is empty; write at least one setting, such as epochs: 10")])
    found = "a list" if isinstance(layer.root.value, list) else f"the single value {shorten(layer.root.text)!r}"
    message = f"found {found}, expected lines of 'key: value'; a space must follow the colon"
    raise SettingsError([Problem(str(layer.root.at), "", message)])


def decode(content: bytes, source: str) -> str:
    """UTF-8, with or without a byte order mark.

    Raises:
        SettingsError: another encoding, or a character that text does not hold.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SettingsError([Problem(f"{source}:1", "", "the file is UTF-16; save it as UTF-8")])
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        message = f"byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise SettingsError([Problem(_position(source, before), "", message)]) from None
    bad = UNPRINTABLE.search(text)
    if bad:
        message = f"control character U+{ord(bad[0]):04X}; remove it, and check that the file is UTF-8 text"
        raise SettingsError([Problem(_position(source, text[: bad.start()]), "", message)])
    return text


def _position(source: str, before: str) -> str:
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return f"{source}:{line}:{column}"
