"""notes.json in the folder of a run: a note and tags of the user. They do not change its id. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cifar_lab.core.atomic_io import remove, write_bytes
from cifar_lab.core.errors import DataError, SettingsError
from cifar_lab.core.text import plain
from cifar_lab.store.documents import DamagedDocumentError, read_document, seal_document
from cifar_lab.store.left_out import leave_out
from cifar_lab.store.results import RunFolder, runs_folder
from cifar_lab.store.writers import documents_lock

LONGEST_NOTE = 2_000
"""Characters."""

TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

MOST_TAGS = 50


@dataclass(frozen=True)
class Notes:
    """Note and tags of a run."""

    note: str = ""
    """One line."""
    tags: tuple[str, ...] = ()
    """In the order in which they were added."""

    def with_note(self, text: str) -> Notes:
        """The same tags with another note. An empty text removes it.

        Raises:
            SettingsError: it is too long.
        """
        note = plain(text)
        if len(note) > LONGEST_NOTE:
            raise SettingsError(f"the note has {len(note):,} characters, at most {LONGEST_NOTE:,} are kept")
        return Notes(note, self.tags)

    def with_tags(self, tags: Iterable[str]) -> Notes:
        """The same note with further tags.

        Raises:
            SettingsError: a text is no tag, or there are too many.
        """
        kept = tuple(dict.fromkeys([*self.tags, *map(checked_tag, tags)]))
        if len(kept) > MOST_TAGS:
            raise SettingsError(f"the run would have {len(kept)} tags, at most {MOST_TAGS} are kept")
        return Notes(self.note, kept)

    def without_tags(self, tags: Iterable[str]) -> Notes:
        """The same note without these tags. Tags that the run does not have are ignored."""
        gone = set(map(checked_tag, tags))
        return Notes(self.note, tuple(tag for tag in self.tags if tag not in gone))


def checked_tag(text: str) -> str:
    """The text, which is a tag.

    Raises:
        SettingsError: it is not one.
    """
    if TAG.fullmatch(text):
        return text
    raise SettingsError(f"{plain(text)!r} is not a tag; a tag has up to 64 letters, digits, '.', '_' and '-'")


def notes_file(folder: RunFolder) -> Path:
    """Path of the notes of a run."""
    return folder.path / "notes.json"


def read_notes(folder: RunFolder) -> Notes:
    """Notes of a run. Empty without any, and where they are damaged, which is named."""
    try:
        return checked_notes(folder)
    except FileNotFoundError:
        return Notes()
    except DataError as fault:
        leave_out(f"{fault}; write the note again: cifar-lab note {folder.path.name} TEXT")
        return Notes()


def checked_notes(folder: RunFolder) -> Notes:
    """Notes of a run.

    Raises:
        FileNotFoundError: the run has none.
        DataError: they are damaged.
    """
    folder.refuse_link()
    path = notes_file(folder)
    found = read_document(path)
    note, tags = found.values.get("note"), found.values.get("tags")
    is_right = isinstance(note, str) and isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)
    if not is_right or not found.is_checked or found.values.get("run_id") != folder.path.name:
        raise DamagedDocumentError(path, "is damaged (not the notes of this run)")
    return Notes(plain(str(note)), tuple(tag for tag in found.values["tags"] if TAG.fullmatch(tag)))


def all_notes(results: Path) -> dict[str, Notes]:
    """Notes by run id, of the runs that have any."""
    names = sorted(path.parent.name for path in runs_folder(results).glob("*/notes.json"))
    folders = [RunFolder(results, name) for name in names]
    found = {folder.path.name: read_notes(folder) for folder in folders if not folder.path.is_symlink()}
    return {run_id: notes for run_id, notes in found.items() if notes != Notes()}


def write_notes(folder: RunFolder, notes: Notes) -> None:
    """Replace the notes of a run. Hold `documents_lock` from before they were read.

    Raises:
        EnvironmentFault: the disk refuses.
    """
    with documents_lock(folder.path.parents[1]):
        if notes == Notes():
            remove(notes_file(folder))
        else:
            values = {"run_id": folder.path.name, "note": notes.note, "tags": list(notes.tags)}
            write_bytes(notes_file(folder), seal_document(values))
