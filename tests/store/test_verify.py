"""What `verify` makes of a results folder; the faults themselves are in `tests/faults/test_damage.py`."""

from __future__ import annotations

import fcntl
import hashlib
from pathlib import Path

import pytest

from cifar_lab.core.checksums import seal_checkpoint
from cifar_lab.store.results import RunFolder
from cifar_lab.store.verify import verify_results

from .test_results import RUN, make_record

WEIGHTS = b"weights"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A finished run with a file of weights."""
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(tmp_path / "cache"))
    made = RunFolder(tmp_path / "results", RUN)
    made.path.mkdir(parents=True)
    made.write_file("weights.safetensors", WEIGHTS)
    files = {"weights.safetensors": hashlib.sha256(WEIGHTS).hexdigest()}
    made.write_record(make_record(files=files, sizes=made.sizes(files)))
    return made


def test_good_results_are_left_as_they_are(folder: RunFolder) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.path.iterdir()}
    found = verify_results(folder.path.parents[1])
    assert (found.runs, found.files, found.damage, found.notes) == (1, 2, (), ())
    assert {path: path.stat().st_mtime_ns for path in folder.path.iterdir()} == before


def test_every_damaged_file_is_named_and_one_command_mends_them(folder: RunFolder) -> None:
    folder.weights.write_bytes(b"other")
    results = folder.path.parents[1]
    assert verify_results(results).damage == (
        f"{folder.weights}: is damaged; set aside as weights.safetensors.damaged; to retrain the run: cifar-lab run "
        f"{folder.settings} --results {results}",
    )
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "record.json.damaged", "weights.safetensors.damaged",
    ]  # fmt: skip
    assert verify_results(results).damage == ()


def test_a_missing_file_damages_its_record(folder: RunFolder) -> None:
    folder.weights.unlink()
    (line,) = verify_results(folder.path.parents[1]).damage
    assert line.startswith(f"{folder.weights}: is missing; record.json set aside as record.json.damaged; ")
    assert [path.name for path in folder.path.iterdir()] == ["record.json.damaged"]


def test_a_damaged_checkpoint_is_no_damage_to_the_record(folder: RunFolder) -> None:
    folder.checkpoint.write_bytes(seal_checkpoint("another run", b"state"))
    (line,) = verify_results(folder.path.parents[1]).damage
    assert line.startswith(f"{folder.checkpoint}: is damaged; set aside as checkpoint.bin.damaged; ")
    assert folder.read_record() is not None


def test_copies_and_newer_records_are_notes(folder: RunFolder) -> None:
    results = folder.path.parents[1]
    folder.path.rename(folder.path.with_name("copy"))
    newer = RunFolder(results, "newer")
    newer.path.mkdir()
    newer.record.write_text('{"schema": 99}')
    found = verify_results(results)
    assert found.damage == ()
    assert [note.partition(": ")[2].partition(";")[0] for note in found.notes] == [
        f"is a copy of run {RUN} and is not counted",
        "has schema 99, but this cifar-lab reads up to 5",
    ]


def test_damage_in_a_run_that_a_process_holds_is_left_to_it(folder: RunFolder) -> None:
    folder.weights.write_bytes(b"other")
    with folder.lock_file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = verify_results(folder.path.parents[1])
    assert found.damage == ()
    assert [note.partition(": ")[2].partition(" another")[0] for note in found.notes] == ["held by"]
    assert folder.weights.read_bytes() == b"other"


def test_an_empty_folder_holds_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(tmp_path / "cache"))
    assert verify_results(tmp_path).runs == 0
