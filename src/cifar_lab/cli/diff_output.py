"""Output of `diff`: settings, sources, images and environment of two runs, and the changes of their checkouts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cifar_lab.analysis.factors import changes, settings_of
from cifar_lab.analysis.finished_runs import find_finished
from cifar_lab.analysis.labels import flat
from cifar_lab.cli.output import Output
from cifar_lab.cli.text_table import TableColumn, TextTable
from cifar_lab.core.errors import SettingsError
from cifar_lab.core.text import plain
from cifar_lab.store.records import Record

COLUMNS = TableColumn("difference", "key"), TableColumn("A", "a"), TableColumn("B", "b")

Pair = tuple[str, Any, Any]
"""Name of a difference, and its value in both runs."""

UNTOLD = ("git_diff", "eager_reason", "kernels_reason")
"""Keys of the environment that no table shows: long texts."""

COMMIT_DIGITS = 12


def print_diff(results: Path, first: str, second: str, *, as_json: bool) -> None:
    """Print the differences of two finished runs.

    Raises:
        SettingsError: a name matches no finished run, or both name the same one.
        DataError: a record is damaged.
    """
    a, b = find_finished(first, results), find_finished(second, results)
    if a.run_id == b.run_id:
        raise SettingsError(f"{first} and {second} are the same run; there is nothing to compare")
    out = Output("diff", as_json=as_json)
    for letter, record in (("A", a), ("B", b)):
        out.wrapped(f"{letter}: {plain(record.label)} · seed {record.seed} · {record.run_id}")
        out.value(letter.lower(), record.facts())
    _print_pairs(out, "settings", list(_settings(a, b)))
    _print_pairs(out, "environment", list(_environment(a, b)))
    _print_changes(out, a, b)
    out.close()


def _print_pairs(out: Output, key: str, pairs: list[Pair]) -> None:
    table = TextTable(*COLUMNS)
    for pair in pairs:
        table.add(*pair)
    out.line()
    if pairs or out.as_json:
        out.table(table, key)
    else:
        out.line(f"{key}: equal")


def _settings(a: Record, b: Record) -> Iterator[Pair]:
    """Seed and settings that differ, then sources, weights and images."""
    if a.seed != b.seed:
        yield "seed", a.seed, b.seed
    differing = changes(settings_of(b), settings_of(a))
    yield from ((each.key, each.arm, each.control) for each in differing)
    ours, theirs = flat(a.recipe), flat(b.recipe)
    known = {each.key for each in differing} | flat(a.settings).keys() | flat(b.settings).keys()
    for key in sorted((ours.keys() | theirs.keys()) - known):
        if ours.get(key) != theirs.get(key):
            yield key, ours.get(key), theirs.get(key)
    if a.data.fingerprint != b.data.fingerprint:
        yield "images", a.data.fingerprint[:16], b.data.fingerprint[:16]


def _environment(a: Record, b: Record) -> Iterator[Pair]:
    ours, theirs = (record.environment.model_dump(mode="json") for record in (a, b))
    for key in dict.fromkeys([*ours, *theirs]):
        if key not in UNTOLD and ours.get(key) != theirs.get(key):
            yield key, _short(key, ours.get(key)), _short(key, theirs.get(key))


def _short(key: str, value: Any) -> Any:
    return value[:COMMIT_DIGITS] if key == "git_commit" and isinstance(value, str) else value


def _print_changes(out: Output, a: Record, b: Record) -> None:
    """Print the uncommitted changes of each run, once where both have the same."""
    texts = {"A": a.environment.git_diff or "", "B": b.environment.git_diff or ""}
    out.value("git_diff", {letter.lower(): text or None for letter, text in texts.items()})
    if texts["A"] and texts["A"] == texts["B"]:
        texts = {"A and B": texts["A"]}
    for letter, text in texts.items():
        if text:
            out.line()
            out.line(f"uncommitted changes of {letter}:")
            out.text(text.rstrip())
