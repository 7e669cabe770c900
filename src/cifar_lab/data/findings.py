"""Faults and notes of a data set, collected in one pass and said once per kind, with counts and first names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cifar_lab.core.errors import DataError

SHOWN_NAMES = 10
"""Names per kind of fault."""

NOTED_NAMES = 3
"""Names per kind of note."""


@dataclass(frozen=True)
class Kind:
    """Sentences of one kind of fault or note."""

    one: str
    """On one file: `{name}`, `{reason}`, and `{because}`, the reason in brackets where there is one."""
    many: str = ""
    """On several: `{count}` and `{names}`, each with its reason in brackets. Empty repeats `one` for each."""


def printable(name: str) -> str:
    """A file name as text. Bytes that are not UTF-8 become `\\xNN`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def reason_of(error: BaseException) -> str:
    """Error of a reader in one line, as the reason of a finding."""
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__


@dataclass
class Findings:
    """Names with their reasons by kind, in the order of their discovery."""

    found: dict[Kind, list[tuple[str, str]]] = field(default_factory=dict)

    def add(self, kind: Kind, name: str = "", reason: str = "") -> None:
        """Add a file, or any other name."""
        self.found.setdefault(kind, []).append((printable(name), reason))

    def sentences(self, most: int = NOTED_NAMES) -> Iterator[str]:
        """One sentence per kind, with the first `most` names."""
        for kind, each in self.found.items():
            if len(each) == 1 or not kind.many:
                yield from (kind.one.format(name=n, reason=r, because=_because(r)) for n, r in each)
                continue
            names = ", ".join(name + _because(reason) for name, reason in each[:most])
            more = f" and {len(each) - most:,} more" if len(each) > most else ""
            yield kind.many.format(names=names + more, count=f"{len(each):,}")

    def refuse(self, root: str) -> None:
        """Refuse the data set if there are any.

        Raises:
            DataError: one line, or a heading and one line per kind.
        """
        sentences = list(self.sentences(SHOWN_NAMES))
        if len(sentences) == 1:
            raise DataError(f"{root}: {sentences[0]}")
        if sentences:
            lines = (f"  - {sentence}" for sentence in sentences)
            raise DataError("\n".join([f"{root}: {len(sentences)} kinds of faults:", *lines]))


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""


class UnusableFileError(Exception):
    """A file of a data set that cannot be used."""

    def __init__(self, kind: Kind, reason: str = "") -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
