from __future__ import annotations

import fcntl
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.config import Settings
from cifar_lab.config.run_id import run_id
from cifar_lab.core.errors import DataError, EnvironmentFault, MissingResultsError
from cifar_lab.store.left_out import LEFT_OUT, SKIPPED
from cifar_lab.store.record_files import read_record
from cifar_lab.store.records import PLAIN_SCHEMA, SCHEMA, DataIdentity, Environment, EpochMetrics, Record, SplitScore
from cifar_lab.store.results import (
    DamagedRecordError,
    RunFolder,
    SharedParts,
    existing_results,
    find_records,
    read_metrics,
    read_records,
    run_ids,
)

RECIPE = {"optimizer": {"name": "sgd", "lr": 0.1}}
RUN = run_id(RECIPE, "f" * 64, 4)


def make_record(**changes: Any) -> Record:
    """A finished run of two epochs."""
    values: dict[str, Any] = {
        "run_id": RUN,
        "recipe": RECIPE,
        "settings": Settings().model_dump(mode="json"),
        "label": "Ünï [red]",
        "seed": 4,
        "status": "done",
        "epochs_trained": 2,
        "parameters": 62_006,
        "val": None,
        "test": SplitScore(accuracy=0.5, loss=1 / 3, per_class=(0.25, 0.75), confusion=((1, 3), (1, 3))),
        "train_seconds": 1.5,
        "started": "2026-11-01T10:00:00Z",
        "finished": "2026-11-01T10:00:02Z",
        "data": DataIdentity(
            name="synthetic", fingerprint="f" * 64, split_hash=None, classes=("a", "b"), train_size=10, val_size=0,
            test_size=8,
        ),
        "environment": Environment(
            cifar_lab="0", python="3", torch="2", torchvision="0", numpy="2", platform="p", device="cpu",
            device_name="d", threads=1, git_commit=None, git_dirty=None,
        ),
        "notes": ("resumed after epoch 1",),
    }  # fmt: skip
    return Record(**{**values, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path, RUN)
    made.path.mkdir(parents=True)
    return made


def test_a_record_comes_back_as_it_was_written(folder: RunFolder) -> None:
    assert folder.read_record() is None
    folder.write_record(make_record())
    assert folder.read_record() == make_record()
    assert read_records(folder.path.parents[1]) == [make_record()]


def test_a_record_is_json_with_a_schema_and_finite_numbers(folder: RunFolder) -> None:
    folder.write_record(make_record())
    values = json.loads(folder.record.read_text(encoding="utf-8"))
    assert values["schema"] == PLAIN_SCHEMA == 3
    assert (next(iter(values)), list(values)[-1]) == ("schema", "sha256")
    assert values["test"]["loss"] == 1 / 3
    with pytest.raises(ValueError, match="finite number"):
        make_record(train_seconds=float("nan"))


def test_a_record_of_a_newer_schema_is_refused_by_name_and_kept(folder: RunFolder) -> None:
    folder.write_record(make_record())
    values = json.loads(folder.record.read_text(encoding="utf-8"))
    folder.record.write_text(json.dumps({**values, "schema": SCHEMA + 1, "unheard_of": True}))
    with pytest.raises(DataError) as caught:
        folder.read_record()
    assert str(caught.value) == (
        f"{folder.record}: has schema 6, but this cifar-lab reads up to 5; install a newer cifar-lab"
    )
    with pytest.raises(DataError, match="has schema 6"):
        folder.set_aside_damage()
    assert folder.record.is_file()


GOOD = make_record().model_copy(update={"schema_": 1}).model_dump_json()
"""A record as it was written before records had a checksum."""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * len(GOOD),
        GOOD.encode()[: len(GOOD) // 2],
        GOOD.encode()[:-1],
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        GOOD.replace('"seed":4', '"seed":4.5').encode(),
        GOOD.replace('"seed":4', '"seed":4,"sede":4').encode(),
        GOOD.replace('"train_seconds":1.5', '"train_seconds":NaN').encode(),
        GOOD.replace('"done"', '"did"').encode(),
    ],
    ids=[
        "empty", "zeros", "half", "one byte short", "null", "a list", "no keys", "no text", "deep", "a float",
        "unknown key", "NaN", "unknown status",
    ],
)  # fmt: skip
def test_a_damaged_record_is_never_used(folder: RunFolder, content: bytes) -> None:
    folder.record.write_bytes(content)
    with pytest.raises(DamagedRecordError) as caught:
        folder.read_record()
    remedy = "`cifar-lab run` with its settings sets it aside and retrains the run"
    assert re.fullmatch(rf"{folder.record}: is damaged( \(.+\))?; {remedy}", str(caught.value))
    assert folder.set_aside_damage() == (
        "the record was damaged; set aside as record.json.damaged, and the run trained again"
    )
    assert folder.read_record() is None
    assert folder.record.with_name("record.json.damaged").read_bytes() == content


def test_every_beginning_of_a_record_is_damaged(folder: RunFolder) -> None:
    for length in range(0, len(GOOD), 7):
        folder.record.write_text(GOOD[:length], encoding="utf-8")
        with pytest.raises(DamagedRecordError):
            read_record(folder.record)


def test_a_record_of_schema_1_has_no_checksum_and_is_read(folder: RunFolder) -> None:
    folder.record.write_text(GOOD, encoding="utf-8")
    assert folder.read_record() == make_record().model_copy(update={"schema_": 1})


def test_a_record_whose_checksum_is_gone_is_damaged(folder: RunFolder) -> None:
    folder.record.write_text(make_record().model_dump_json(indent=1) + "\n", encoding="utf-8")
    with pytest.raises(DamagedRecordError):
        folder.read_record()


def test_nothing_is_set_aside_where_nothing_is_wrong(folder: RunFolder) -> None:
    assert folder.set_aside_damage() is None
    folder.write_record(make_record())
    assert folder.set_aside_damage() is None
    assert folder.read_record() == make_record()


def epoch(number: int) -> EpochMetrics:
    return EpochMetrics(epoch=number, lr=0.1, train_loss=2 / number, train_accuracy=0.1 * number, seconds=0.5)


def test_metrics_are_a_line_an_epoch(folder: RunFolder) -> None:
    assert folder.read_metrics() == []
    folder.checkpoint.write_bytes(b"under way")
    folder.write_metrics([epoch(1)])
    folder.write_metrics([epoch(1), epoch(2)])
    assert read_metrics(folder.path.parents[1], RUN) == [epoch(1), epoch(2)]
    assert [json.loads(line)["epoch"] for line in folder.metrics.read_text().splitlines()] == [1, 2]


def test_damaged_metrics_are_named(folder: RunFolder) -> None:
    folder.metrics.write_text(epoch(1).model_dump_json() + '\n{"epoch": 2, "lr"')
    with pytest.raises(DataError) as caught:
        folder.read_metrics()
    assert str(caught.value) == (
        f"{folder.metrics}: is damaged; to retrain the run: cifar-lab run {folder.settings} --results "
        f"{folder.path.parents[1]} --force"
    )


def test_records_are_sorted_by_label_and_seed(tmp_path: Path) -> None:
    for name, label, seed in [("b", "x", 1), ("a", "x", 10), ("c", "x", 2), ("d", "A", 7)]:
        folder = RunFolder(tmp_path, name)
        folder.path.mkdir(parents=True)
        folder.write_record(make_record(run_id=name, label=label, seed=seed))
    (tmp_path / "runs" / "stray file").write_text("")
    assert [record.run_id for record in read_records(tmp_path)] == ["d", "b", "c", "a"]
    assert run_ids(tmp_path) == ["a", "b", "c", "d"]


def test_what_cannot_be_used_is_apart_from_the_good_records(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a", "b", "a-backup", "c"):
        RunFolder(tmp_path, name).path.mkdir(parents=True)
    for name, of in [("a", "a"), ("b", "b"), ("a-backup", "a")]:
        RunFolder(tmp_path, name).write_record(make_record(run_id=of))
    damaged = RunFolder(tmp_path, "b").record
    damaged.write_text("{")
    found = find_records(tmp_path)
    assert [record.run_id for record in found.records] == ["a"]
    assert [(each.folder.path.name, each.copy_of) for each in found.unusable] == [("a-backup", "a"), ("b", "")]
    copy = RunFolder(tmp_path, "a-backup")
    messages = [
        f"{copy.record}: is a copy of run a and is not counted; move {copy.path} elsewhere",
        f"{damaged}: is damaged and left out; `cifar-lab run` with the settings of its arm retrains the run",
    ]
    assert [each.message for each in found.unusable] == caplog.messages == messages
    assert [record.name for record in caplog.records] == [SKIPPED, LEFT_OUT]
    assert read_records(tmp_path) == found.records


def test_a_second_record_of_one_seed_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a", "b"):
        RunFolder(tmp_path, name).path.mkdir(parents=True)
        RunFolder(tmp_path, name).write_record(make_record(run_id=name))
    assert [record.run_id for record in read_records(tmp_path)] == ["a"]
    assert "is a second record of seed 4 of the same arm and left out" in caplog.text


def test_runs_that_are_no_folder_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "runs").write_text("")
    assert read_records(tmp_path) == []
    assert caplog.messages == [
        f"{tmp_path / 'runs'}: is not a folder, so it has no run; restore it from a copy, or remove it"
    ]


def test_a_record_that_is_lost_is_told_from_a_run_that_has_not_ended(folder: RunFolder) -> None:
    folder.write_record(make_record())
    folder.write_metrics([epoch(1)])
    folder.record.unlink()
    with pytest.raises(DamagedRecordError, match="is missing, although the run has ended"):
        folder.read_record()
    with folder.lock():  # the worker that makes it again
        assert folder.read_record() is None
    folder.checkpoint.write_bytes(b"under way")
    assert folder.read_record() is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"run_id": RUN, "seed": 5}, "its id does not match its settings, images and seed"),
        ({"settings": {}}, "its settings have no data.batch_size"),
        ({"started": "yesterday"}, "its start is not a time"),
        (
            {"test": SplitScore(accuracy=0.5, loss=1, per_class=(1.0,), confusion=((1,),))},
            "its test scores do not have",
        ),
    ],
    ids=["seed", "no settings", "time", "classes"],
)
def test_a_record_whose_parts_contradict_each_other_is_damaged(
    folder: RunFolder, changes: dict[str, Any], why: str
) -> None:
    folder.write_record(make_record(**changes))
    with pytest.raises(DamagedRecordError, match=re.escape(f"is damaged ({why}")):
        folder.read_record()


def test_a_reader_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert existing_results(tmp_path) == tmp_path
    with pytest.raises(MissingResultsError, match="no such results folder; give another with --results"):
        existing_results(tmp_path / "none")


def test_an_empty_results_folder_has_no_runs(tmp_path: Path) -> None:
    assert read_records(tmp_path / "none") == []
    assert run_ids(tmp_path / "none") == []


def test_discard_leaves_only_what_is_no_result(folder: RunFolder) -> None:
    folder.write_record(make_record())
    for path in (folder.checkpoint, folder.metrics, folder.predictions, folder.weights):
        path.write_bytes(b"old")
    folder.checkpoint.with_name("checkpoint.bin.previous").write_bytes(b"old")
    folder.settings.write_text("epochs: 1\n")
    folder.discard()
    assert [path.name for path in folder.path.iterdir()] == ["settings.yaml"]
    folder.discard()


# --- the lock ---

HOLD = """
import sys
from pathlib import Path
from cifar_lab.store.results import RunFolder
with RunFolder(Path(sys.argv[1]), sys.argv[2]).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(folder: RunFolder) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the run."""
    command = [sys.executable, "-c", HOLD, str(folder.path.parents[1]), RUN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_run_that_another_process_holds_is_refused_by_name(folder: RunFolder, holder: subprocess.Popen[str]) -> None:
    assert folder.unfinished_state() == "running"
    with pytest.raises(EnvironmentFault) as caught, folder.lock():
        pass
    message = str(caught.value)
    assert message.startswith(f"{folder.path}: held by process {holder.pid} on ")
    assert message.endswith("Z; wait for it, or end it, then run the same command again")


def test_the_lock_is_free_at_once_after_kill_9(folder: RunFolder, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert folder.lock_file.is_file()
    assert folder.unfinished_state() == "interrupted"
    with folder.lock():
        assert folder.unfinished_state() == "running"


def test_a_lock_given_back_leaves_no_file(folder: RunFolder) -> None:
    assert folder.unfinished_state() == "interrupted"
    with folder.lock():
        pass
    assert list(folder.path.iterdir()) == []
    assert folder.unfinished_state() == "interrupted"


def test_a_file_that_its_holder_unlinked_meanwhile_is_no_lock(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder before gives the lock back between our opening of the file and our locking of it."""
    locked = []
    flock = fcntl.flock

    def late(file: Any, operation: int) -> None:
        if not locked:
            folder.lock_file.unlink()
        locked.append(file)
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with folder.lock():
        assert len(locked) == 2
        with pytest.raises(EnvironmentFault, match="held by process"), RunFolder(folder.path.parents[1], RUN).lock():
            pass


def test_a_folder_that_is_gone_cannot_be_locked(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, RUN)
    with pytest.raises(EnvironmentFault, match=r"cannot be written \(No such file or directory\)"), folder.lock():
        pass
    assert list(tmp_path.iterdir()) == []


def again(record: Record) -> Record:
    """The same record, read anew."""
    return Record.model_validate_json(record.model_dump_json())


def test_records_stay_as_they_are_and_equal_parts_are_one_object() -> None:
    shared = SharedParts()
    first, second = again(make_record()), again(make_record(seed=5, run_id="b"))
    one, other = shared.of(first), shared.of(second)
    assert (one, other) == (first, second)
    assert one.data is other.data
    assert one.environment is other.environment
    assert one.settings["data"] is other.settings["data"]
    assert one.recipe["optimizer"] is other.recipe["optimizer"]


def test_values_that_are_equal_and_not_the_same_stay_apart() -> None:
    shared = SharedParts()
    values = [{"a": {"x": each}} for each in (1, 1.0, True)]
    assert [repr(shared.sections(value)) for value in values] == [repr(value) for value in values]
