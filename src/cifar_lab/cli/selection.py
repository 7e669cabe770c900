"""Selection and order of the lines of `list`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from cifar_lab.analysis.summary import Row
from cifar_lab.config.io.messages import nearest
from cifar_lab.core.errors import SettingsError
from cifar_lab.report.columns import Column, ReportRow, columns_of
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
"""Sort keys of runs. None sorts last."""

SYNONYMS = {"test": "accuracy", "label": "arm", "mean": "accuracy", "id": "run", "time": "seconds"}
DESCENDING = frozenset({"accuracy", "validation", "n"})
"""Columns in descending order."""

PLAIN_KEYS = ("label", "status", "seed", "run", "data")
"""Filter keys that are not settings."""


def arm_columns() -> dict[str, Key[Row]]:
    """Columns that a list of arms can be sorted by."""
    return {column.header("sort"): _row_value(column) for column in columns_of("sort")}


def _row_value(column: Column) -> Key[Row]:
    return lambda row: column.cell("sort", ReportRow(row))


@dataclass(frozen=True)
class Selection:
    """Options `--filter`, `--sort` and `--reverse`."""

    filters: tuple[tuple[str, str], ...] = ()
    sort: str | None = None
    reverse: bool = False

    @classmethod
    def of(cls, filters: Sequence[str], sort: str | None, reverse: bool, *, arms: bool) -> Selection:
        """Parse the options.

        Raises:
            SettingsError: a filter that is not KEY=VALUE, or an unknown column.
        """
        columns: Mapping[str, object] = arm_columns() if arms else RUN_COLUMNS
        column = SYNONYMS.get(sort or "", sort)
        if column is not None and column not in columns:
            meant = nearest(column, columns)
            hint = f" — did you mean {meant}?" if meant else ""
            raise SettingsError(f"--sort: {sort!r} is not a column; the columns are {', '.join(columns)}{hint}")
        pairs = []
        for text in filters:
            key, equals, value = text.partition("=")
            if not (key.strip() and equals):
                raise SettingsError(f"--filter: {text!r} is not KEY=VALUE, such as label=Adam or optimizer.lr=0.01")
            pairs.append((key.strip(), value.strip()))
        return cls(tuple(pairs), column, reverse)

    def keeps(self, record: Record) -> bool:
        """Whether a record matches all filters."""
        return all(fnmatchcase(text, value) if (text := _value(record, key)) is not None else False
                   for key, value in self.filters)  # fmt: skip

    def check(self, records: Sequence[Record]) -> None:
        """Refuse a filter on a key that no record has, which is likely a typo.

        Raises:
            SettingsError: an unknown key.
        """
        for key, _ in self.filters:
            if records and all(_value(record, key) is None for record in records):
                keys = [*PLAIN_KEYS, *(name for record in records[:50] for name in _keys(record.settings))]
                meant = nearest(key, keys)
                raise SettingsError(f"--filter: no run has {key!r}{f' — did you mean {meant}?' if meant else ''}")

    def ordered(self, items: Sequence[T], columns: Mapping[str, Key[T]]) -> list[T]:
        """Sort the items. Those without a value come last in both directions."""
        if self.sort is None:
            return list(reversed(items)) if self.reverse else list(items)
        value = columns[self.sort]
        descending = (self.sort in DESCENDING) != self.reverse
        known = [item for item in items if value(item) is not None]
        return sorted(known, key=value, reverse=descending) + [item for item in items if value(item) is None]


def _value(record: Record, key: str) -> str | None:
    """Value of a record under a key, as written in a settings file. None for an unknown key."""
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
