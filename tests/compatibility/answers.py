"""answers.json in two parts: the sentences that a person reads, and everything else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SENTENCES = frozenset(
    {
        "title", "command", "commands", "to_run", "notes", "note", "faults", "sentences", "sentence", "reason",
    }
)  # fmt: skip
"""Keys of texts for people."""


def numbers(document: Any) -> Any:
    """The document without its sentences."""
    if isinstance(document, dict):
        return {key: numbers(value) for key, value in document.items() if key not in SENTENCES}
    return [numbers(each) for each in document] if isinstance(document, list) else document


def sentences(document: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """(path of the key, text) of each sentence."""
    if isinstance(document, dict):
        for key, value in document.items():
            path = f"{where}.{key}" if where else key
            yield from _texts(value, path) if key in SENTENCES else sentences(value, path)
    elif isinstance(document, list):
        for place, each in enumerate(document):
            yield from sentences(each, f"{where}[{place}]")


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    for each in value if isinstance(value, list) else [value]:
        if each:
            yield path, str(each)
