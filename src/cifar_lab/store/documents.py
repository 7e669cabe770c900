"""JSON documents of a results folder beside the records: plans, histories, winners of sweeps, plans of looks. No torch.

A document of schema 2 has its SHA-256 as last key. Documents of earlier versions have neither, and are read unchecked.

    index/<hash>.json     names one document and its content, so a document that is gone or replaced is noticed
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifar_lab.core.atomic_io import DAMAGED_SUFFIX, make_folder, write_bytes
from cifar_lab.core.checksums import BrokenSealError, seal_record, unseal_record
from cifar_lab.core.errors import DataError
from cifar_lab.core.files import NotRegularError, read_regular
from cifar_lab.store.writers import documents_lock

DOCUMENT_SCHEMA = 2
"""Version of a document. 1, without the key: no checksum. 2: with a checksum."""

GROUPS_SCHEMA = 3
"""Version of the winners of a sweep with groups: its control is the winner of a group, and not the base."""

RACE_SCHEMA = 4
"""Version of the winners and the history of a race: points were dropped after some of the seeds."""

NEWEST_SCHEMA = RACE_SCHEMA

INDEX = "index"


class DamagedDocumentError(DataError):
    """A document with a wrong checksum or no JSON object in it."""

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(f"{path}: {fault}")
        self.path, self.fault = path, fault


@dataclass(frozen=True)
class Document:
    """Content of a document."""

    values: dict[str, Any]
    """Without the checksum."""
    is_checked: bool
    """Whether it had a checksum. False for a document of an earlier version."""


def read_document(path: Path) -> Document:
    """Read a document and compare it with its checksum.

    Raises:
        FileNotFoundError: the file is missing.
        DamagedDocumentError: it is damaged, or no regular file.
        DataError: it cannot be read, or is of a newer version of cifar-lab.
    """
    try:
        return parse_document(path, read_regular(path))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(error.errno, error.strerror, str(path)) from error
    except NotRegularError as error:
        raise DamagedDocumentError(path, f"is damaged ({error.strerror})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def parse_document(path: Path, content: bytes) -> Document:
    """Parse the content of a document. `path` is for messages.

    Raises:
        DamagedDocumentError: it is damaged.
        DataError: it is of a newer version of cifar-lab.
    """
    try:
        text, is_sealed = unseal_record(content)
        values = json.loads(text, parse_constant=_refuse_constant)
    except BrokenSealError as error:
        raise DamagedDocumentError(path, "is damaged (its SHA-256 does not match)") from error
    except (ValueError, RecursionError) as error:
        raise DamagedDocumentError(path, "is damaged (not JSON)") from error
    schema = values.get("schema", 1) if isinstance(values, dict) else None
    if type(schema) is not int or "sha256" in values:
        raise DamagedDocumentError(path, "is damaged (not a document of cifar-lab)")
    if schema > NEWEST_SCHEMA and not is_sealed:
        raise DamagedDocumentError(path, "is damaged (its SHA-256 is missing)")
    if schema > NEWEST_SCHEMA:
        raise DataError(
            f"{path}: has schema {schema}, but this cifar-lab reads up to {NEWEST_SCHEMA}; install a newer cifar-lab"
        )
    if not is_sealed and (schema > 1 or path.parent.name == INDEX):
        raise DamagedDocumentError(path, "is damaged (its SHA-256 is missing)")
    return Document(values, is_sealed)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def seal_document(values: dict[str, Any]) -> bytes:
    """Bytes of a document with its schema, `DOCUMENT_SCHEMA` unless stated, and checksum.

    The same values give the same bytes.
    """
    text = json.dumps({"schema": DOCUMENT_SCHEMA, **values}, indent=1, ensure_ascii=False, allow_nan=False)
    return seal_record(text)


def write_document(results: Path, path: Path, values: dict[str, Any], entries: int = 1) -> None:
    """Write a document and its entry in the index. A document with these values stays as it is.

    A crash leaves a new document without an entry, or an entry that names the old content and the new.

    Of several commands one writes at a time. Hold `documents_lock` from before the values were read to change them.

    Args:
        entries: number of items that the document has at least from now on, such as looks.

    Raises:
        EnvironmentFault: the disk refuses.
    """
    with documents_lock(results):
        if _values_of(path) != json.loads(json.dumps(_without_schema(values))):
            content, old = seal_document(values), _digest_of(path)
            make_folder(path.parent)
            if old is not None and index_entry(results, path).exists():
                _note(results, path, entries, [old, hashlib.sha256(content).hexdigest()])
            write_bytes(path, content)
        if is_sealed(path):
            _note(results, path, entries, [_digest_of(path)])


def _values_of(path: Path) -> dict[str, Any] | None:
    """Values of an intact document, without the schema. None for any other."""
    try:
        values = read_document(path).values
    except (FileNotFoundError, DataError):
        return None
    return _without_schema(values)


def _without_schema(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != "schema"}


def is_sealed(path: Path) -> bool:
    """Whether a document is intact and has a checksum."""
    try:
        return read_document(path).is_checked
    except (FileNotFoundError, DataError):
        return False


def index_entry(results: Path, path: Path) -> Path:
    """Path of the index entry of a document."""
    name = path.relative_to(results).as_posix()
    return results / INDEX / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"


def _digest_of(path: Path) -> str | None:
    """SHA-256 of a file. None where it cannot be read."""
    try:
        return hashlib.sha256(read_regular(path)).hexdigest()
    except OSError:
        return None


def _note(results: Path, path: Path, entries: int, contents: list[str | None]) -> None:
    entry = index_entry(results, path)
    values = {"document": path.relative_to(results).as_posix(), "entries": entries, "contents": contents}
    if _values_of(entry) != values:
        make_folder(entry.parent)
        write_bytes(entry, seal_document(values))


@dataclass(frozen=True)
class Indexed:
    """Entry of the index: a document that was written."""

    path: Path
    entries: int
    """Number of items that it has at least."""
    contents: tuple[str, ...]
    """SHA-256 of its content. Two where a command ended between the entry and the document."""

    def fault(self) -> str:
        """Reason why the document is not the one that was written. Empty for a good or missing one."""
        digest = _digest_of(self.path)
        return "" if digest is None or digest in self.contents else "is damaged (its content differs from the index)"


def indexed(results: Path) -> Iterator[Indexed]:
    """Every intact entry of the index."""
    for entry in sorted((results / INDEX).glob("*.json")):
        values = _values_of(entry) or {}
        name, entries, contents = (values.get(key) for key in ("document", "entries", "contents"))
        if not isinstance(name, str) or type(entries) is not int or not isinstance(contents, list):
            continue
        # A name that leads out of the folder is no document of this lab.
        is_inside = len(parts := Path(name).parts) > 1 and not {"..", "/"} & set(parts)
        if is_inside and index_entry(results, results / name) == entry:
            yield Indexed(results / name, entries, tuple(map(str, contents)))


def lost_documents(results: Path, folder: str) -> list[Path]:
    """Documents of a folder that were written and are gone: set aside as damaged, or only named in the index."""
    damaged = (results / folder).glob(f"*.json{DAMAGED_SUFFIX}")
    aside = [path.with_name(path.name.removesuffix(DAMAGED_SUFFIX)) for path in damaged]
    named = [each.path for each in indexed(results) if each.path.parent == results / folder]
    return sorted(path for path in {*aside, *named} if not path.is_file())
