from __future__ import annotations

from pathlib import Path

import pytest

from cifar_lab.core.errors import SettingsError
from cifar_lab.store.notes import LONGEST_NOTE, MOST_TAGS, Notes, all_notes, notes_file, read_notes, write_notes
from cifar_lab.store.results import RunFolder, find_records
from cifar_lab.store.verify import verify_results

from ..record_fixtures import record


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = record(0.5)
    folder = RunFolder(tmp_path, made.run_id)
    folder.path.mkdir(parents=True)
    folder.write_record(made)
    return folder


def test_notes_are_read_as_written_and_removed_when_empty(folder: RunFolder) -> None:
    notes = Notes().with_note("two\nlines").with_tags(["best", "paper", "best"])
    assert notes == Notes("two lines", ("best", "paper"))
    write_notes(folder, notes)
    assert read_notes(folder) == notes
    assert all_notes(folder.path.parents[1]) == {folder.path.name: notes}
    write_notes(folder, notes.with_note("").without_tags(["best", "paper", "other"]))
    assert not notes_file(folder).exists()
    assert read_notes(folder) == Notes()


def test_notes_change_no_record(folder: RunFolder) -> None:
    before = folder.record.read_bytes()
    write_notes(folder, Notes("a note"))
    assert folder.record.read_bytes() == before
    assert len(find_records(folder.path.parents[1]).records) == 1
    assert not verify_results(folder.path.parents[1]).damage


@pytest.mark.parametrize("tag", ["", "two words", "-x", "a/b", "x" * 65, "a,b", "ä"])
def test_a_text_that_is_no_tag_is_refused(tag: str) -> None:
    with pytest.raises(SettingsError, match="is not a tag"):
        Notes().with_tags([tag])


def test_notes_and_tags_have_a_limit() -> None:
    with pytest.raises(SettingsError, match="at most 2,000"):
        Notes().with_note("x" * (LONGEST_NOTE + 1))
    with pytest.raises(SettingsError, match="at most 50"):
        Notes().with_tags([f"t{number}" for number in range(MOST_TAGS + 1)])


def test_damaged_notes_are_named_set_aside_and_cost_no_record(
    folder: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    write_notes(folder, Notes("accurate"))
    path = notes_file(folder)
    path.write_text(path.read_text().replace("accurate", "wrong"))
    assert read_notes(folder) == Notes()
    assert "its SHA-256 does not match" in caplog.text
    (line,) = verify_results(folder.path.parents[1]).damage
    assert "set aside as notes.json.damaged" in line
    assert folder.record.exists()
    folder.metrics.write_text("")
    folder.record.unlink()
    assert folder.lost_its_record()


def test_notes_of_another_run_are_damage(folder: RunFolder, caplog: pytest.LogCaptureFixture) -> None:
    write_notes(folder, Notes("mine"))
    other = RunFolder(folder.path.parents[1], "0" * 16)
    other.path.mkdir()
    notes_file(other).write_bytes(notes_file(folder).read_bytes())
    assert read_notes(other) == Notes()
    assert "not the notes of this run" in caplog.text
