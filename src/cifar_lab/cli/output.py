"""Results of a command on standard output: lines and tables, or one JSON document of the same rows.

In a document numbers are not rounded. Accuracies are shares from 0 to 1. Keys that end in `_pp` are percentage points,
those with `seconds` or `hours` in them are times.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from cifar_lab.cli.text_table import TextTable
from cifar_lab.core.host import ignore_output
from cifar_lab.core.terminal import console, say, say_wrapped
from cifar_lab.core.text import plain

DOCUMENT_SCHEMA = 1
"""Version of the documents. A key never changes its meaning. New keys may be added."""


class Output:
    """Output of one command. Under `--json`, lines without a key are left out."""

    def __init__(self, command: str, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self._document: dict[str, Any] = {"schema": DOCUMENT_SCHEMA, "command": command}

    def line(self, text: str = "", key: str = "") -> None:
        """Print a line. `key`: list of the document that has it."""
        if not self.as_json:
            say(_indent(text) + plain(text))
        elif key:
            self._document.setdefault(key, []).append(plain(text))

    def text(self, text: str) -> None:
        """Print lines that stand in the document in another form."""
        if not self.as_json:
            say(text)

    def wrapped(self, text: str, key: str = "") -> None:
        """Print a sentence, broken between words where a terminal is narrow."""
        if self.as_json:
            self.line(text, key)
        else:
            say_wrapped(_indent(text) + plain(text))

    def table(self, table: TextTable, key: str) -> None:
        """Print a table."""
        if self.as_json:
            self._document[key] = table.documents
        else:
            table.print(console())

    def value(self, key: str, value: Any) -> None:
        """Add a value to the document. Nothing is printed without `--json`."""
        self._document[key] = value

    def next(self, command: Sequence[str | Path], *, folder: str = "", is_comment: bool = False) -> None:
        """Print the command that leads on, ready to be copied.

        Args:
            command: words after `cifar-lab`.
            folder: to change to before it.
            is_comment: whether the lines before it are YAML.
        """
        words = [word.as_posix() if isinstance(word, Path) else word for word in command]
        line = shlex.join(["cifar-lab", *words])
        line = f"cd {shlex.quote(folder)} && {line}" if folder else line
        line = line if line.isprintable() else plain(line)  # `plain` joins spaces, which a path may have
        if self.as_json:
            self._document["next"] = line
        else:
            say(f"{'# ' if is_comment else ''}next: {line}")

    def close(self) -> None:
        """Print the document, if it is one."""
        if not self.as_json:
            return
        try:
            print(json.dumps(_finite(self._document), indent=1, ensure_ascii=True, allow_nan=False), flush=True)
        except BrokenPipeError:
            ignore_output()


def _indent(text: str) -> str:
    return text[: len(text) - len(text.lstrip(" "))]


def _finite(value: Any) -> Any:
    """The value with types of JSON alone. Numbers that are not finite become null."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_finite(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | None) else str(value)
