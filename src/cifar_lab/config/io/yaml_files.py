"""Settings files on disk: UTF-8, one YAML mapping, at most 1 MB."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from cifar_lab.config.io.nearest_name import did_you_mean
from cifar_lab.config.io.shipped import FOLDER, readable, shipped_names
from cifar_lab.config.io.strict_yaml import parse
from cifar_lab.config.io.tree import UNPRINTABLE, SettingsLayer, SourceLocation, one_line, shorten
from cifar_lab.core.errors import Problem, SettingsError
from cifar_lab.core.files import open_file

MAX_BYTES = 1_000_000
"""Largest file in bytes. The shipped files have less than a thousandth of it."""


def read_file(path: Path, named_at: SourceLocation | None = None, rank: int = 0) -> SettingsLayer:
    """Read a settings file to a layer.

    Args:
        named_at: location in another settings file that names this one.

    Raises:
        SettingsError: the file cannot be opened, or is not one YAML mapping.
    """
    try:
        return read_layer(readable(path), one_line(str(path)), rank)
    except (OSError, ValueError) as error:
        raise SettingsError([unreadable(path, error, str(named_at or ""), "extends" if named_at else "")]) from None


def unreadable(path: Path, error: OSError | ValueError, where: str = "", key: str = "") -> Problem:
    """The problem of a file that cannot be opened, with the nearest file name in its folder."""
    shown = one_line(str(path))
    if isinstance(error, FileNotFoundError) and re.fullmatch(r"[a-z_.]+=\S*", shown):
        return Problem(where, key, f"{shown} is a setting and not a file; write --set {shown}")
    if isinstance(error, FileNotFoundError):
        return Problem(where, key, f"no file {shown}{did_you_mean(path.name, _neighbours(path))}")
    if isinstance(error, IsADirectoryError):
        return Problem(where, key, f"{shown} is a folder; name a settings file in it")
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return Problem(where, key, f"{shown} cannot be read ({reason})")


def _neighbours(path: Path) -> list[str]:
    shipped = shipped_names() if path.parent == Path(FOLDER) else []
    try:
        there = sorted(item.name for item in path.parent.iterdir() if item.suffix in (".yaml", ".yml"))[:1000]
    except OSError:
        there = []
    return [*there, *shipped]


def read_layer(path: Path, source: str, rank: int = 0) -> SettingsLayer:
    """Read the mapping of a file.

    Raises:
        OSError, ValueError: the file cannot be opened.
        SettingsError: it is not one YAML mapping.
    """
    with open_file(path) as file:
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


def top_level_keys(path: Path) -> set[str]:
    """Words before a colon at the start of a line, to tell the kinds of settings files apart without parsing them.

    Raises:
        OSError: the file cannot be opened.
    """
    with open_file(path) as file:
        lines = file.read(MAX_BYTES).decode("utf-8", "replace").splitlines()
    return {line.partition(":")[0] for line in lines if line[:1].isalpha()}


def decode(content: bytes, source: str) -> str:
    """Decode UTF-8, with or without a byte order mark.

    Raises:
        SettingsError: another encoding, or a control character.
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
