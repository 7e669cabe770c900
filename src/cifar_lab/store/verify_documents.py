"""Verification of the JSON documents beside the runs: sweeps, plans of looks, and the index of both. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cifar_lab.core.atomic_io import set_aside
from cifar_lab.core.errors import DataError
from cifar_lab.store.documents import INDEX, DamagedDocumentError, Indexed, index_entry, indexed, read_document
from cifar_lab.store.removal import MARKS, REMOVING
from cifar_lab.store.run_paths import runs_folder

SWEEPS = "sweeps"


@dataclass
class VerifiedDocuments:
    """Documents of a results folder."""

    files: int = 0
    """Documents with a checksum."""
    unchecked: int = 0
    """Documents of earlier versions, without one."""
    damage: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify_documents(results: Path) -> VerifiedDocuments:
    """Read every document and set damaged ones aside.

    A document that is gone although the index names it is damage. What a sweep leaves can be made again, so its entry
    is set aside too and the next verification is silent. A plan of looks stays missing until it is restored.

    Raises:
        EnvironmentFault: a damaged file cannot be renamed.
    """
    found = VerifiedDocuments()
    entries = {each.path: each for each in indexed(results)}
    for path in _documents(results, found):
        _verify(path, found, entries.get(path))
    for path in entries:
        if not path.exists() and not path.with_name(path.name + ".damaged").exists():
            line = f"{path}: is missing; {_remedy(path)}"
            found.damage.append(line)
            if path.relative_to(results).parts[0] == SWEEPS:
                set_aside(index_entry(results, path))
    return found


def _documents(results: Path, found: VerifiedDocuments) -> Iterator[Path]:
    """JSON files in the folders beside the runs, in folders and files that are no symbolic links."""
    folders = sorted(results.iterdir()) if results.is_dir() else []
    while folders:
        folder = folders.pop(0)
        if folder in (runs_folder(results), results / REMOVING):
            continue
        if folder.is_symlink():
            found.notes.append(f"{folder}: is a symbolic link, which is not followed")
        elif folder.is_dir():
            children = sorted(folder.iterdir())
            folders[:0] = [path for path in children if path.suffix != ".json" and path.is_dir()]
            yield from (path for path in children if path.suffix == ".json")


def _verify(path: Path, found: VerifiedDocuments, entry: Indexed | None) -> None:
    """Read one document, compare it with its entry in the index, and count it."""
    try:
        document = read_document(path)
        if entry is not None and (reason := entry.fault()):
            raise DamagedDocumentError(path, reason)
    except FileNotFoundError:  # set aside or replaced meanwhile
        return
    except DamagedDocumentError as fault:
        aside = set_aside(path)
        found.damage.append(f"{fault}; set aside as {aside.name}; {_remedy(path)}")
    except DataError as fault:
        found.notes.append(str(fault))
    else:
        found.files += document.is_checked
        found.unchecked += not document.is_checked


def _remedy(path: Path) -> str:
    """Way to get a document back."""
    if path.parent.name == INDEX:
        return "the next command that writes its document restores it"
    if path.parent.name == MARKS:
        return "the report then says that the run is gone, and not that it was removed"
    if path.parent.parent.name == SWEEPS:
        return "run the sweep again to rebuild it"
    return "restore it from a copy; until then the looks that it names count as made"
