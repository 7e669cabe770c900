"""What comes back from a node: written once, in order, checked; and the folder that a node works in."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.core.checksums import seal_record
from cifar_lab.core.errors import EnvironmentFault
from cifar_lab.execution.ray.delivery import DamagedFiles, Destination
from cifar_lab.execution.ray.scratch import Scratch
from cifar_lab.execution.ray.transfers import RunFiles, WatchedFolder, outward
from cifar_lab.store.results import RunFolder
from cifar_lab.training import checkpoint
from cifar_lab.training.job import Job


def made(lab: Any, *overrides: str, results: str = "node") -> tuple[Job, RunFiles]:
    """A run's job on the driver's machine, and all that comes back of it from a node."""
    settings = lab.settings("epochs=1", *overrides)
    there = lab.job(settings, results=results)
    watched = WatchedFolder(RunFolder(there.results, there.run_id))
    lab.make(there)
    parcel = watched.changed(ended=True)
    assert parcel is not None
    return lab.job(settings), parcel


def files(job: Job) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in RunFolder(job.results, job.run_id).path.iterdir()}


def test_a_parcel_holds_what_the_run_left_with_the_record_last(lab: Any) -> None:
    job, parcel = made(lab)
    assert list(parcel.files) == [
        "settings.yaml", "metrics.jsonl", "weights.safetensors", "predictions.npz", "record.json",
    ]  # fmt: skip
    destination = Destination(job)
    assert destination.accept(parcel) is None
    destination.close()
    assert files(job) == files(replace(job, results=lab.folder / "node"))


def test_a_file_is_sent_again_when_it_has_changed_and_a_record_only_at_the_end(lab: Any) -> None:
    folder = RunFolder(lab.results, "run")
    folder.path.mkdir(parents=True)
    watched = WatchedFolder(folder)
    assert watched.changed(ended=False) is None
    folder.metrics.write_text("one")
    folder.record.write_text("record")
    parcel = watched.changed(ended=False)
    assert parcel is not None
    assert dict(parcel.files) == {"metrics.jsonl": b"one"}
    assert watched.changed(ended=False) is None
    folder.metrics.write_text("other")
    parcel = watched.changed(ended=True)
    assert parcel is not None
    assert dict(parcel.files) == {"metrics.jsonl": b"other", "record.json": b"record"}


def test_the_checkpoint_before_is_kept_and_both_go_when_the_run_is_done(lab: Any) -> None:
    job, whole = made(lab)
    destination = Destination(job)
    folder = destination.folder
    for epoch in (1, 2, 3):
        destination.accept(RunFiles.of(job.run_id, {"checkpoint.bin": b"epoch %d" % epoch}))
    assert folder.checkpoint.read_bytes() == b"epoch 3"
    assert checkpoint.previous(folder.checkpoint).read_bytes() == b"epoch 2"
    assert outward(job).files == {"checkpoint.bin": b"epoch 3", "checkpoint.bin.previous": b"epoch 2"}
    destination.accept(whole)
    assert not folder.has_checkpoint()
    destination.close()


def test_what_a_node_found_damaged_is_set_aside_here_too(lab: Any) -> None:
    job, _ = made(lab)
    destination = Destination(job)
    folder = destination.folder
    folder.checkpoint.write_bytes(b"damaged")
    folder.record.write_bytes(b"damaged")
    assert destination.first_result() is None
    destination.accept(RunFiles.of(job.run_id, {}, ("checkpoint.bin.damaged", "record.json.damaged")))
    destination.close()
    assert files(job) == {"checkpoint.bin.damaged": b"damaged", "record.json.damaged": b"damaged"}


@pytest.mark.parametrize("name", ["weights.safetensors", "predictions.npz", "record.json"])
def test_of_a_parcel_that_is_not_whole_nothing_is_written(lab: Any, name: str) -> None:
    job, parcel = made(lab)
    content = parcel.files[name]
    flipped = bytes([content[0] ^ 1]) + content[1:]
    destination = Destination(job)
    with pytest.raises(DamagedFiles, match=r"^its files arrived damaged$"):
        destination.accept(replace(parcel, files={**parcel.files, name: flipped}))
    with pytest.raises(DamagedFiles, match=r"is not the one that its record names$|^its record cannot be read$"):
        destination.accept(RunFiles.of(job.run_id, {**parcel.files, name: flipped}))
    destination.close()
    assert files(job) == {}


@pytest.mark.parametrize("name", ["../../other/record.json", "/tmp/file", "lock", "model.py"])
def test_files_that_no_run_has_are_refused(lab: Any, name: str) -> None:
    job, _ = made(lab)
    destination = Destination(job)
    for parcel in (RunFiles.of(job.run_id, {name: b""}), RunFiles.of(job.run_id, {}, (f"../{name}.damaged",))):
        with pytest.raises(DamagedFiles, match=r"^it contains files that do not belong to a run$"):
            destination.accept(parcel)
    destination.close()


def test_the_record_of_another_run_is_refused(lab: Any) -> None:
    job, _ = made(lab)
    _, other = made(lab, "optimizer.lr=0.5", results="other")
    destination = Destination(job)
    with pytest.raises(DamagedFiles, match=f"^its record belongs to run {other.run_id}$"):
        destination.accept(other)
    destination.close()


def test_of_two_results_the_first_counts_and_the_second_is_told(lab: Any) -> None:
    job, parcel = made(lab)
    destination = Destination(job)
    destination.accept(parcel)
    before = files(job)
    said = destination.accept(parcel)
    assert said is not None
    assert said.startswith(" · seed 0: a second result came from ")
    assert said.endswith("; the first one counts")
    destination.close()
    assert {**files(job), "lock": b""} == {**before, "lock": b""}


def test_two_results_that_differ_are_told_loudly_where_they_must_not(lab: Any) -> None:
    for number, deterministic in enumerate((True, False)):
        job, parcel = made(lab, f"runtime.deterministic={str(deterministic).lower()}", f"optimizer.lr=0.{number + 1}",
                           results=f"node{number}")  # fmt: skip
        record = lab.run_folder(replace(job, results=lab.folder / f"node{number}")).read_record()
        other = record.model_copy(update={"test": record.test.model_copy(update={"loss": 9.0})})
        text = seal_record(other.model_dump_json(indent=1))
        destination = Destination(job)
        destination.accept(parcel)
        said = destination.accept(RunFiles.of(job.run_id, {**parcel.files, "record.json": text}))
        destination.close()
        assert said is not None
        assert said.startswith("WARNING: ") == deterministic
        assert ("BUT THEY DIFFER in test although runtime.deterministic is true" in said) == deterministic
        assert lab.run_folder(job).read_record() == record


def test_a_run_that_another_command_makes_is_left_to_it(lab: Any) -> None:
    job, _ = made(lab)
    destination = Destination(job)
    with pytest.raises(EnvironmentFault, match="held by process"):
        Destination(job)
    destination.close()
    Destination(job).close()


def test_the_folder_of_a_process_that_was_killed_goes_with_the_next_one(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from cifar_lab.execution.ray.scratch import Scratch; "
        "Scratch('work-', Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)"
    )
    alive = Scratch("work-", tmp_path)
    subprocess.run([sys.executable, "-c", code, tmp_path], check=False)
    (killed,) = set(tmp_path.iterdir()) - {alive.path}
    next_one = Scratch("work-", tmp_path)
    assert set(tmp_path.iterdir()) == {alive.path, next_one.path}
    assert not killed.exists()
    for each in (alive, next_one):
        each.remove()
    assert list(tmp_path.iterdir()) == []
