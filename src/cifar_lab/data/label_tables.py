"""Tables of labels beside images: a CSV file, or the annotations of Tiny-ImageNet, which name a file and its class."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cifar_lab.data.file_tree import Entry
from cifar_lab.data.findings import Findings, Kind

TABLE_SUFFIXES = (".csv", ".tsv", ".txt")
MAX_TABLE_BYTES = 64 * 2**20

FILE_HEADERS = (
    "file", "filename", "file_name", "filepath", "file_path", "path", "image", "image_name", "image_path", "image_id",
    "img", "id", "name",
)  # fmt: skip
LABEL_HEADERS = (
    "label",
    "class",
    "class_name",
    "classname",
    "classid",
    "class_id",
    "category",
    "target",
    "species",
    "y",
)
SPLIT_HEADERS = ("split", "set", "subset", "fold", "partition", "usage")

NO_ROW = Kind(
    "{name} has no label in {reason}; add it or remove the image",
    "{count} images have no label: {names}; add them or remove the images",
)
NO_FILE = Kind(
    "{reason} names {name}, which does not exist; remove the row",
    "{count} rows name files that do not exist: {names}; remove the rows",
)
NO_LABEL = Kind(
    "{name} has no label; add it or remove the row", "{count} rows have no label: {names}; add them or remove the rows"
)
NOT_UTF8 = Kind(
    "{name} is not UTF-8; save the table as UTF-8", "{count} tables are not UTF-8: {names}; save them as UTF-8"
)
TWO_LABELS = Kind("{reason} gives {name} two labels; keep one", "{count} files have two labels: {names}; keep one each")


@dataclass(frozen=True)
class Table:
    """Rows of a table of labels."""

    path: str
    rows: Sequence[tuple[str, str, str]]
    """(file, label, split) each. The split is empty where the table has none."""
    problems: Sequence[tuple[Kind, str]] = ()
    """Kind and line of what is wrong with the text."""

    @property
    def folder(self) -> str:
        """Folder that holds it."""
        return self.path.rpartition("/")[0]


def read_table(path: str, content: bytes) -> Table | None:
    """Parse a table with a file and a label per row. None for any other text."""
    text, problems = _decoded(path, content)
    numbered = [(number, row) for number, row in _rows(text.splitlines()) if any(map(str.strip, row))]
    if not any(len(row) > 1 for _, row in numbered):
        return None
    header = [re.sub(r"[^a-z]+", "_", cell.strip().lower()).strip("_") for cell in numbered[0][1]]
    file, label = _column(header, FILE_HEADERS), _column(header, LABEL_HEADERS)
    split = None if label is None else _column(header, SPLIT_HEADERS)
    if label is None and (flagged := _one_hot(numbered)):
        return Table(path, flagged, problems)
    if label is None:
        file, label = 0, 1
        numbered = numbered[_has_other_header(numbered) :]
    else:
        file = file if file is not None else next(i for i in range(len(header)) if i != label)
        numbered = numbered[1:]
    columns = (file or 0, label, *([] if split is None else [split]))
    rows = []
    for number, row in numbered:
        cells = [row[at].strip() if at < len(row) else "" for at in columns]
        if not cells[1]:
            problems.append((NO_LABEL, f"{path}:{number}"))
        else:
            rows.append((cells[0], cells[1], cells[2].lower() if split is not None else ""))
    return Table(path, rows, problems)


def _decoded(path: str, content: bytes) -> tuple[str, list[tuple[Kind, str]]]:
    """Text of a table, and the first line that is not UTF-8. Excel's Unicode text is UTF-16."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace"), []
    try:
        return content.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return content.decode("utf-8-sig", "replace"), [(NOT_UTF8, f"{path}:{line}")]


def _rows(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of each row."""
    first = next((line for line in lines if line.strip()), "")
    for delimiter in "\t,;":
        if delimiter in first:
            reader = csv.reader(lines, delimiter=delimiter)
            yield from ((reader.line_num, row) for row in reader)
            return
    yield from ((number, line.split()) for number, line in enumerate(lines, 1))


def _one_hot(rows: Sequence[tuple[int, list[str]]]) -> list[tuple[str, str, str]]:
    """Rows of a table with a column per class, 1 in that of an image and 0 in the others. Empty for another table."""
    (_, header), *others = rows
    if len(header) < 3:
        return []
    found = []
    for _, row in others:
        flags = [cell.strip() for cell in row[1:]]
        ones = [at for at, flag in enumerate(flags, 1) if flag in ("1", "1.0")]
        if len(row) != len(header) or len(ones) != 1 or not set(flags) <= {"0", "0.0", "1", "1.0"}:
            return []
        found.append((row[0].strip(), header[ones[0]].strip(), ""))
    return found


def _has_other_header(rows: Sequence[tuple[int, list[str]]]) -> bool:
    """Whether the first row is a header in words that are not known: its file has no ending, those below have one."""
    names = [row[0].strip() for _, row in rows[:3]]
    return len(names) > 1 and "." not in names[0] and all("." in name for name in names[1:])


def _column(header: Sequence[str], names: Sequence[str]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


class ImageIndex:
    """Image files by their path, or a shorter name that only one of them has."""

    def __init__(self, images: Iterable[Entry]) -> None:
        self.images = list(images)
        self._found: dict[str, Entry | None] = {}
        for entry in self.images:
            parts = entry.path.split("/")
            names = {"/".join(parts[start:]) for start in range(len(parts))}
            names |= {name.rpartition(".")[0] for name in names}
            for name in names | {name.lower() for name in names}:
                self._found[name] = None if self._found.get(name, entry) is not entry else entry

    def get(self, name: str, folder: str, above: int = 0) -> Entry | None:
        """File that a row of a table in `folder` names, without the first `above` folders of its path."""
        name = "/".join(name.replace("\\", "/").removeprefix("./").strip("/").split("/")[above:])
        if not name:
            return None
        inside = f"{folder}/{name}" if folder else name
        keys = (inside, name, inside.lower(), name.lower())
        return next((entry for key in keys if (entry := self._found.get(key)) is not None), None)

    def above(self, table: Table) -> tuple[int, int]:
        """(folders of another machine at the start of the paths of a table, rows that then name an image)."""
        deepest = max((file.replace("\\", "/").count("/") for file, _, _ in table.rows[:100]), default=0)
        known = {
            above: sum(self.get(file, table.folder, above) is not None for file, _, _ in table.rows)
            for above in range(min(deepest, MAX_ABOVE) + 1)
        }
        best = max(known, key=lambda above: (known[above], -above))
        return best, known[best]


MAX_ABOVE = 12


def labelled(
    images: Sequence[Entry], folder: str, tables: Mapping[str, Table], faults: Findings
) -> dict[str, list[Entry]] | None:
    """Image files of a folder by class, from the table in it or beside it. None where no table names them.

    Each file without a row, and each row without a file, is a fault.
    """
    index = ImageIndex(images)
    parent, _, name = folder.rpartition("/")
    inside = [table for table in tables.values() if table.folder == folder]
    beside = [
        table
        for table in tables.values()
        if folder and table.folder == parent and table.path.rpartition("/")[2].lower().startswith(name.lower())
    ]
    for table in [*inside, *beside]:
        if 2 * index.above(table)[1] >= len(images) > 0:
            return by_class(index, table.rows, table, faults)
    return None


def by_class(
    index: ImageIndex, rows: Iterable[tuple[str, str, str]], table: Table, faults: Findings, *, all_images: bool = True
) -> dict[str, list[Entry]]:
    """Image files by the label of their row, ordered by path."""
    for kind, line in table.problems:
        faults.add(kind, line)
    labels: dict[str, tuple[Entry, str]] = {}
    above, _ = index.above(table)
    for file, label, _ in rows:
        entry = index.get(file, table.folder, above)
        if entry is None:
            faults.add(NO_FILE, file, table.path)
        elif labels.setdefault(entry.path, (entry, label))[1] != label:
            faults.add(TWO_LABELS, file, table.path)
    if all_images:
        for entry in index.images:
            if entry.path not in labels:
                faults.add(NO_ROW, entry.path, table.path)
    classes: dict[str, list[Entry]] = {}
    for _, (entry, label) in sorted(labels.items()):
        classes.setdefault(label, []).append(entry)
    return classes


def table_splits(
    images: Sequence[Entry], tables: Mapping[str, Table], faults: Findings, spellings: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, list[Entry]]] | None:
    """Image files by split and class, from one table with a column of splits or from a table per split. None without.

    Args:
        spellings: names of each split.
    """
    index = ImageIndex(images)
    for table in tables.values():
        splits = {split: [row for row in table.rows if row[2] in names] for split, names in spellings.items()}
        if splits["train"] and splits["test"]:
            return {
                split: by_class(index, rows, table, faults, all_images=False) for split, rows in splits.items() if rows
            }
    named: dict[str, Table] = {}
    for split, names in spellings.items():
        for table in tables.values():
            stem = re.split(r"[^a-z]", table.path.rpartition("/")[2].lower().removesuffix("labels"))[0]
            if any(stem.startswith(each) for each in names) and 2 * index.above(table)[1] >= len(table.rows) > 0:
                named.setdefault(split, table)
    if not {"train", "test"} <= named.keys():
        return None
    return {split: by_class(index, table.rows, table, faults, all_images=False) for split, table in named.items()}
