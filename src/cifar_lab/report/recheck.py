"""`report --check`: compare the report on the disk with its records."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cifar_lab.analysis.folder_report import answer_folder
from cifar_lab.analysis.lab import Lab
from cifar_lab.analysis.recount import recount
from cifar_lab.core.errors import DataError, SettingsError
from cifar_lab.core.files import read_document
from cifar_lab.store.results import find_records

SHOWN = 20
"""Differences per file that are named."""

_COMMANDS = frozenset({"command", "commands", "to_run", "to_decide", "notices"})
"""Keys of answers.json that are or hold commands. They depend on the working directory."""


def check_report(
    lab_path: Path | None,
    results: Path,
    overrides: Sequence[str] = (),
    data_name: str | None = None,
    *,
    found: bool = False,
) -> tuple[list[Path], list[str]]:
    """(files of the report, a line per difference to the records).

    The numbers and words of answers.json, summary.csv, report.md, report.tex and report.html are made again and
    compared. Nothing is written. Commands and the scripts of the page are left out. What the report takes from the
    documents of sweeps and plans of looks is computed again from the records.

    Raises:
        SettingsError: as in `answer_folder`, or no file of a report exists.
        DataError: a file of the report cannot be read.
    """
    from cifar_lab.report.build import FILE_NAMES, FORMATS, report_text  # all formats and charts

    records = find_records(results)
    lab = answer_folder(lab_path, results, overrides, data_name, found=found, there=records)
    there = [(kind, results / FILE_NAMES[kind]) for kind in FORMATS if (results / FILE_NAMES[kind]).is_file()]
    if not there:
        raise SettingsError(f"{results}: no report to check; write it first: cifar-lab report")
    differences: list[str] = []
    for kind, path in there:
        try:
            old = read_document(path).decode("utf-8")
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error
        except UnicodeDecodeError:
            differences.append(f"{path.name}: is not UTF-8 text")
            continue
        lines = list(_compare(kind, path.name, old, report_text(kind, lab, results), lab))
        differences += lines[:SHOWN]
        if len(lines) > SHOWN:
            differences.append(f"{path.name}: and {len(lines) - SHOWN} more differences")
    differences += recount(results, records.records)
    return [path for _, path in there], differences


def _compare(kind: str, name: str, old: str, new: str, lab: Lab) -> Iterator[str]:
    if kind == "json":
        try:
            there = json.loads(old)
        except ValueError:
            yield f"{name}: is not valid JSON"
            return
        yield from (f"{name}: {line}" for line in _json_differences(there, json.loads(new), ""))
    elif kind == "csv":
        yield from _csv_differences(name, old, new)
    else:
        yield from _line_differences(name, _lines(kind, old), _lines(kind, new))


def _json_differences(old: Any, new: Any, where: str) -> Iterator[str]:
    """Lines on the differences of two documents. Items of lists are called by their name where they have one."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if key not in _COMMANDS:
                yield from _json_differences(old.get(key), new.get(key), f"{where}.{key}" if where else key)
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield f"{where}: {len(old)} on disk, {len(new)} from the records"
            return
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _json_differences(one, other, f"{where}[{_item_name(other, index)}]")
    elif old != new or isinstance(old, bool) != isinstance(new, bool):
        yield f"{where}: {_words(old)} on disk, {_words(new)} from the records"


def _item_name(item: Any, index: int) -> str:
    """Name of a list item: a question's name, an arm's label, a run's seed, else its index."""
    for key in ("name", "label", "arm", "seed"):
        if isinstance(item, dict) and key in item:
            return str(item[key])[:60]
    return str(index)


def _csv_differences(name: str, old: str, new: str) -> Iterator[str]:
    there, made = (list(csv.reader(io.StringIO(text))) for text in (old, new))
    if there[:1] != made[:1] or len(there) != len(made):
        yield f"{name}: {len(there)} rows on disk, {len(made)} from the records, or other columns"
        return
    for one, other in zip(there[1:], made[1:], strict=True):
        for column, a, b in zip(made[0], one, other, strict=False):
            if a != b:
                yield f"{name}: {other[0]} {other[2]}, {column}: {_words(a)} on disk, {_words(b)} from the records"


def _lines(kind: str, text: str) -> list[str]:
    """Lines that depend on the records. Pictures depend on the cache of images, too."""
    if kind == "html":
        data = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text, flags=re.S)
        other = r"<style>.*?</style>|<script.*?</script>|<meta[^>]*>|<!--pictures-->.*?<!--/pictures-->|<!--.*?-->"
        text = re.sub(other, "", text, flags=re.S)
        text += "\n" + "\n".join(part.replace("}, ", "},\n") for part in data)
    return [line for line in text.splitlines() if "cifar-lab " not in line and ">cifar-lab<" not in line]


def _line_differences(name: str, old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    if len(old) != len(new):
        yield f"{name}: {len(old)} lines on disk, {len(new)} from the records"
        return
    for one, other in zip(old, new, strict=True):
        if one != other:
            start = next(
                (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
            )
            a, b = (line[max(0, start - 30) : start + 30].strip() for line in (one, other))
            yield f"{name}: {_words(a)} on disk, {_words(b)} from the records"


def _words(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"“{text[:80]}…”" if len(text) > 80 else f"“{text}”" if isinstance(value, str) else text
