from __future__ import annotations

import json
from pathlib import Path

import pytest

from cifar_lab.store.failures import note_failure, read_failure, remove_failure
from cifar_lab.store.results import RunFolder


def note(folder: RunFolder) -> None:
    note_failure(folder, "Adam", 3, kind="oom", reason="out of memory", exit_code=1, attempts=2)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "runs").mkdir()
    return RunFolder(tmp_path, "abc")


def test_a_failure_is_written_down_also_where_the_run_never_began(folder: RunFolder) -> None:
    note(folder)
    written = json.loads(folder.failure.read_text())
    assert written.pop("when").endswith("Z")
    assert len(written.pop("sha256")) == 64
    assert written == {
        "format": 2, "run_id": "abc", "label": "Adam", "seed": 3, "kind": "oom", "reason": "out of memory",
        "exit_code": 1, "attempts": 2,
    }  # fmt: skip
    found = read_failure(folder)
    assert found is not None
    assert (found.kind, found.label, found.attempts) == ("oom", "Adam", 2)


def test_a_removed_failure_is_gone_and_may_be_removed_twice(folder: RunFolder) -> None:
    note(folder)
    remove_failure(folder)
    assert not folder.failure.exists()
    remove_failure(folder)
    assert read_failure(folder) is None


def test_a_results_folder_that_was_deleted_is_not_made_again(folder: RunFolder) -> None:
    folder.path.parent.rmdir()
    note(folder)
    assert not folder.path.parent.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 2}', "\0\0"])
def test_a_damaged_file_is_as_none(folder: RunFolder, content: str) -> None:
    folder.path.mkdir()
    folder.failure.write_text(content)
    assert read_failure(folder) is None
