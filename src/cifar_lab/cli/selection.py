"""Selection and order of the lines of `list`: filters on fields of runs or arms, and sort columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, TypeVar

from cifar_lab.analysis.summary import Row
from cifar_lab.cli.filter_expression import Expression, Value, parse_filter
from cifar_lab.config.io.nearest_name import did_you_mean
from cifar_lab.core.errors import SettingsError
from cifar_lab.report.columns import Column, ReportRow, columns_of
from cifar_lab.store.notes import Notes
from cifar_lab.store.records import Environment, Record

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

FIELDS = frozenset({*RUN_COLUMNS, "note", "tag", "tags"})
"""Fields of a filter on runs that are not settings."""

SYNONYMS = {"test": "accuracy", "label": "arm", "mean": "accuracy", "id": "run", "time": "seconds"}
DESCENDING = frozenset({"accuracy", "validation", "n"})
"""Columns in descending order."""


def arm_columns() -> dict[str, Key[Row]]:
    """Columns that a list of arms can be sorted by."""
    return {column.header("sort"): _row_value(column) for column in columns_of("sort")}


def _row_value(column: Column) -> Key[Row]:
    return lambda row: column.cell("sort", ReportRow(row))


@dataclass(frozen=True)
class Selection:
    """Options `--filter`, `--sort` and `--reverse`."""

    filters: tuple[Expression, ...] = ()
    sort: str | None = None
    reverse: bool = False
    of_arms: bool = False
    """Whether the lines are arms: `accuracy`, `n` and other columns of `list --arms` are then those of the arm."""

    @classmethod
    def of(cls, filters: Sequence[str], sort: str | None, reverse: bool, *, arms: bool) -> Selection:
        """Parse the options.

        Raises:
            SettingsError: a filter that is no expression, or an unknown column.
        """
        columns: Mapping[str, object] = arm_columns() if arms else RUN_COLUMNS
        column = SYNONYMS.get(sort or "", sort)
        if column is not None and column not in columns:
            hint = did_you_mean(column, columns)
            raise SettingsError(f"--sort: {sort!r} is not a column; the columns are {', '.join(columns)}{hint}")
        return cls(tuple(map(parse_filter, filters)), column, reverse, arms)

    def keeps(self, record: Record, notes: Mapping[str, Notes]) -> bool:
        """Whether a record matches all filters that are on runs."""
        lookup = partial(field_of, record, notes.get(record.run_id, Notes()))
        return all(each.matches(lookup) for each in self.filters if not self._is_of_arms(each))

    def keeps_arm(self, row: Row, record: Record, notes: Mapping[str, Notes]) -> bool:
        """Whether an arm matches all filters that are on arms. Settings are those of one of its runs, `record`."""
        lookup = partial(_arm_field, row, record, notes.get(record.run_id, Notes()))
        return all(each.matches(lookup) for each in self.filters if self._is_of_arms(each))

    def _is_of_arms(self, expression: Expression) -> bool:
        return self.of_arms and any(SYNONYMS.get(key, key) in _arm_numbers() for key in expression.fields())

    def check(self, records: Sequence[Record], notes: Mapping[str, Notes]) -> None:
        """Refuse a filter on a field that no record has, which is likely a typo.

        Raises:
            SettingsError: an unknown field.
        """
        names = {*FIELDS, *SYNONYMS, *(_arm_numbers() if self.of_arms else ())}
        for key in (key for each in self.filters for key in each.fields()):
            if key in names or not records or any(_is_field(record, key) for record in records):
                continue
            keys = [*names, *(name for record in records[:50] for name in _keys(record.settings))]
            raise SettingsError(f"--filter: no run has {key!r}{did_you_mean(key, keys)}")

    def ordered(self, items: Sequence[T], columns: Mapping[str, Key[T]]) -> list[T]:
        """Sort the items. Those without a value come last in both directions."""
        if self.sort is None:
            return list(reversed(items)) if self.reverse else list(items)
        value = columns[self.sort]
        descending = (self.sort in DESCENDING) != self.reverse
        known = [item for item in items if value(item) is not None]
        return sorted(known, key=value, reverse=descending) + [item for item in items if value(item) is None]


def field_of(record: Record, notes: Notes, key: str) -> Value:
    """Value of a run under a field: a column of `list`, its note or tags, or a setting. None where it has none."""
    key = SYNONYMS.get(key, key)
    if key in ("tag", "tags"):
        return notes.tags
    if key == "note":
        return notes.note
    if key in RUN_COLUMNS:
        found = RUN_COLUMNS[key](record)
        return float(found) if isinstance(found, int | float) else found
    if record.test is not None and key in record.test.metrics:
        return record.test.metrics[key]
    return _setting(record, key)


def _is_field(record: Record, key: str) -> bool:
    """Whether the run has a setting, or a metric of the user, of this name."""
    return _setting(record, key) is not None or (record.test is not None and key in record.test.metrics)


def _arm_field(row: Row, record: Record, notes: Notes, key: str) -> Value:
    name = SYNONYMS.get(key, key)
    if name not in _arm_numbers():
        return field_of(record, notes, key)
    found = arm_columns()[name](row)
    return None if found is None else float(found)


@cache
def _arm_numbers() -> frozenset[str]:
    """Columns of `list --arms` that are numbers of an arm."""
    return frozenset(arm_columns()) - {"arm", "data"}


def _setting(record: Record, key: str) -> str | None:
    """Value of a setting, as written in a settings file, or of the environment. None for an unknown key."""
    found: Any = {**record.settings, "environment": record.environment}
    for part in key.split("."):
        if isinstance(found, Environment):
            found = found.model_dump()
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
