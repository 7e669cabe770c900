"""Output of `note` and `tag`: the note and tags of a run, as they are now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cifar_lab.analysis.finished_runs import find_finished, find_folder
from cifar_lab.core.errors import SettingsError
from cifar_lab.core.terminal import say
from cifar_lab.store.notes import read_notes, write_notes
from cifar_lab.store.results import RunFolder, existing_results
from cifar_lab.store.writers import documents_lock


def edit_note(results: Path, name: str, text: str | None, *, remove: bool) -> None:
    """Replace the note of a run, or print it where `text` is None.

    Raises:
        SettingsError: no run or several runs have the name, or the text is too long or empty.
    """
    folder = _folder(results, name)
    if text is not None and not remove and not text.strip():
        raise SettingsError(f"the note is empty; to remove the note: cifar-lab note {name} --remove")
    if text is not None:
        with documents_lock(results):
            write_notes(folder, read_notes(folder).with_note(text))
    notes = read_notes(folder)
    say(f"{folder.path.name}: {notes.note or 'no note'}")


def edit_tags(results: Path, name: str, tags: Sequence[str], *, remove: bool) -> None:
    """Add tags to a run or remove them, then print its tags.

    Raises:
        SettingsError: no run or several runs have the name, or a text is no tag.
    """
    folder = _folder(results, name)
    if remove and not tags:
        raise SettingsError("--remove: name the tags to remove")
    if tags:
        with documents_lock(results):
            old = read_notes(folder)
            write_notes(folder, old.without_tags(tags) if remove else old.with_tags(tags))
    say(f"{folder.path.name}: {', '.join(read_notes(folder).tags) or 'no tags'}")


def _folder(results: Path, name: str) -> RunFolder:
    """Folder of the run with this name, finished or not."""
    folder = find_folder(existing_results(results), name)
    folder = folder or RunFolder(results, find_finished(name, results).run_id)
    folder.refuse_link()
    return folder
