from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.store.failures import note_event, read_failure
from cifar_lab.store.results import RunFolder

FAILED = {
    "event": "outcome",
    "status": "failed",
    "kind": "oom",
    "reason": "out of memory",
    "exit_code": 1,
    "attempts": 2,
}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "runs").mkdir()
    return RunFolder(tmp_path, "abc")


def test_a_failure_is_written_down_also_where_the_run_never_began(folder: RunFolder) -> None:
    note_event(folder, "Adam", 3, FAILED)
    written = json.loads(folder.failure.read_text())
    assert written.pop("when").endswith("Z")
    assert written == {
        "format": 1, "run_id": "abc", "label": "Adam", "seed": 3, "kind": "oom", "reason": "out of memory",
        "exit_code": 1, "attempts": 2,
    }  # fmt: skip
    found = read_failure(folder)
    assert found is not None
    assert (found.kind, found.label, found.attempts) == ("oom", "Adam", 2)


@pytest.mark.parametrize(
    "event", [{"event": "started"}, {"event": "outcome", "status": "done"}, {"event": "outcome", "status": "diverged"}]
)
def test_a_run_that_begins_again_or_is_done_has_not_failed(folder: RunFolder, event: dict[str, Any]) -> None:
    note_event(folder, "Adam", 3, FAILED)
    note_event(folder, "Adam", 3, event)
    assert not folder.failure.exists()
    note_event(folder, "Adam", 3, event)
    assert read_failure(folder) is None


@pytest.mark.parametrize("event", ["device", "step", "epoch", "retry", "quiet"])
def test_other_events_change_nothing(folder: RunFolder, event: str) -> None:
    note_event(folder, "Adam", 3, FAILED)
    before = folder.failure.read_bytes()
    note_event(folder, "Adam", 3, {"event": event})
    assert folder.failure.read_bytes() == before


def test_a_results_folder_that_was_deleted_is_not_made_again(folder: RunFolder) -> None:
    folder.path.parent.rmdir()
    note_event(folder, "Adam", 3, FAILED)
    assert not folder.path.parent.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 2}', "\0\0"])
def test_a_damaged_file_is_as_none(folder: RunFolder, content: str) -> None:
    folder.path.mkdir()
    folder.failure.write_text(content)
    assert read_failure(folder) is None
