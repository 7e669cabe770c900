"""Which lines `list` shows, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from cifar_lab.analysis.summary import Row
from cifar_lab.config.io.messages import nearest
from cifar_lab.core.errors import SettingsError
from cifar_lab.store.records import Record

T = TypeVar("T")

Key = Callable[[T], Any]

RUN_COLUMNS: dict[str, Key[Record]] = {
    "run": lambda record: record.run_id,
    "arm": lambda record: record.label,
    "seed": lambda record: record.seed,
    "status": lambda record: record.status,
    "accuracy": lambda record: record.test and record.test.accuracy,
    "validation": lambda record: record.val and record.val.accuracy,
    "epochs": lambda record: record.epochs_trained,
    "seconds": lambda record: record.train_seconds,
    "data": lambda record: record.data.title,
    "finished": lambda record: record.finished,
}
"""What a list of runs can be ordered by; None comes last."""

ARM_COLUMNS: dict[str, Key[Row]] = {
    "arm": lambda row: row.label,
    "n": lambda row: row.n,
    "accuracy": lambda row: row.mean,
    "validation": lambda row: row.val_mean,
    "std": lambda row: row.std,
    "seconds": lambda row: row.seconds,
    "parameters": lambda row: row.parameters,
    "data": lambda row: row.data,
}
"""The same of a list of arms."""

OTHER_WORDS = {"test": "accuracy", "label": "arm", "mean": "accuracy", "id": "run", "time": "seconds"}
FALLING = frozenset({"accuracy", "validation", "n"})
"""Columns whose largest comes first."""

PLAIN_KEYS = ("label", "status", "seed", "run", "data")
"""What a filter may name beside settings."""


@dataclass(frozen=True)
class Selection:
    """What `--filter`, `--sort` and `--reverse` ask for."""

    filters: tuple[tuple[str, str], ...] = ()
    sort: str | None = None
    reverse: bool = False

    @classmethod
    def of(cls, filters: Sequence[str], sort: str | None, reverse: bool, *, arms: bool) -> Selection:
        """From the words of a command line.

        Raises:
            SettingsError: a filter that is no KEY=VALUE, a column that there is not; all of them at once.
        """
        columns: Mapping[str, object] = ARM_COLUMNS if arms else RUN_COLUMNS
        column = OTHER_WORDS.get(sort or "", sort)
        if column is not None and column not in columns:
            meant = nearest(column, columns)
            hint = f" — did you mean {meant}?" if meant else ""
            raise SettingsError(f"--sort: {sort!r} is no column; there are {', '.join(columns)}{hint}")
        pairs = []
        for text in filters:
            key, equals, value = text.partition("=")
            if not (key.strip() and equals):
                raise SettingsError(f"--filter: {text!r} is not KEY=VALUE, such as label=Adam or optimizer.lr=0.01")
            pairs.append((key.strip(), value.strip()))
        return cls(tuple(pairs), column, reverse)

    def keeps(self, record: Record) -> bool:
        """Whether a record has all that the filters name."""
        return all(fnmatchcase(text, value) if (text := _value(record, key)) is not None else False
                   for key, value in self.filters)  # fmt: skip

    def check(self, records: Sequence[Record]) -> None:
        """Refuse a filter on a key that no record has: it would look as if there were no such run.

        Raises:
            SettingsError: names the keys that are near.
        """
        for key, _ in self.filters:
            if records and all(_value(record, key) is None for record in records):
                keys = [*PLAIN_KEYS, *(name for record in records[:50] for name in _keys(record.settings))]
                meant = nearest(key, keys)
                raise SettingsError(f"--filter: no run has {key!r}{f' — did you mean {meant}?' if meant else ''}")

    def ordered(self, items: Sequence[T], columns: Mapping[str, Key[T]]) -> list[T]:
        """The items in the order asked for; those without a value come last, whichever way."""
        if self.sort is None:
            return list(reversed(items)) if self.reverse else list(items)
        value = columns[self.sort]
        falling = (self.sort in FALLING) != self.reverse
        known = [item for item in items if value(item) is not None]
        return sorted(known, key=value, reverse=falling) + [item for item in items if value(item) is None]


def _value(record: Record, key: str) -> str | None:
    """What a record has under a key, as a person writes it; None where it has no such key."""
    plain = {
        "label": record.label, "arm": record.label, "status": record.status, "seed": record.seed,
        "run": record.run_id, "data": record.data.title,
    }  # fmt: skip
    if key in plain:
        return str(plain[key])
    found: Any = record.settings
    for part in key.split("."):
        if not isinstance(found, dict) or part not in found:
            return None
        found = found[part]
    if isinstance(found, bool):
        return str(found).lower()
    return "null" if found is None else f"{found:g}" if isinstance(found, float) else str(found)


def _keys(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    keys: list[str] = []
    for name, value in values.items():
        keys += _keys(value, f"{prefix}{name}.") if isinstance(value, dict) else [f"{prefix}{name}"]
    return keys
