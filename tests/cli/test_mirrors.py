"""Runs that are mirrored to TensorBoard, MLflow and Weights & Biases, end to end."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cifar_lab.store.results import RunFolder, read_records


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag → (step, value) of TensorBoard's files in the folder."""
    found = EventAccumulator(str(folder)).Reload()
    return {tag: [(each.step, each.value) for each in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


@pytest.mark.slow
def test_a_run_is_mirrored_to_both_and_a_second_time_to_none(lab: Any) -> None:
    words = ("run", "tiny.yaml", "--set", "epochs=2", "--seeds", "3")
    done = lab(*words, "--mirror", "tensorboard", "--mirror", "mlflow:ml.db", PYTHONPROFILEIMPORTTIME="1")
    assert done.code == 0, done.err
    assert "torch" not in {line.rpartition("|")[2].strip() for line in done.err.splitlines()}
    (record,) = read_records(lab.results)
    history = RunFolder(lab.results, record.run_id).read_metrics()
    assert record.test is not None

    told = scalars(RunFolder(lab.results, record.run_id).path / "tensorboard")
    assert told["train/loss"] == [(each.epoch, pytest.approx(each.train_loss)) for each in history]
    assert told["test/accuracy"] == [(2, pytest.approx(record.test.accuracy))]
    assert "val/loss" not in told

    with closing(sqlite3.connect(lab.folder / "ml.db")) as database:
        rows = database.execute("select key, step, value from metrics where key like 'train%' order by step").fetchall()
        loss = [(step, value) for key, step, value in rows if key == "train/loss"]
        assert loss == [(each.epoch, pytest.approx(each.train_loss)) for each in history]
        tested = database.execute("select value from metrics where key = 'test/accuracy'").fetchall()
        assert tested == [(pytest.approx(record.test.accuracy),)]
        assert database.execute("select status, name from runs").fetchall() == [
            ("FINISHED", "tiny (epochs=2) · seed 3")
        ]
        assert ("optimizer.lr", "0.02") in database.execute("select key, value from params").fetchall()
        assert ("cifar_lab.run_id", record.run_id) in database.execute("select key, value from tags").fetchall()

    assert lab(*words, "--mirror", "tensorboard").code == 0
    assert scalars(RunFolder(lab.results, record.run_id).path / "tensorboard") == told


def wandb_records(file: Path) -> list[Any]:
    """Records of an offline run: protocol buffers in a log of LevelDB's format, blocks of 32 KiB."""
    from wandb.proto import wandb_internal_pb2

    content, at, parts, found = file.read_bytes(), 7, b"", []
    while at + 7 <= len(content):
        size, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        if kind == 0:  # the rest of the block is empty
            at += 32_768 - at % 32_768
            continue
        parts += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            found.append(wandb_internal_pb2.Record.FromString(parts))
            parts = b""
    return found


@pytest.mark.slow
def test_a_run_is_mirrored_to_files_of_wandb_without_a_network(lab: Any, without_network: Any) -> None:
    pytest.importorskip("wandb")
    before, variables = without_network()
    words = ("run", "tiny.yaml", "--set", "epochs=2", "--mirror", "wandb")
    done = lab(*words, before=before, HOME=str(lab.folder), **variables)
    assert (done.code, done.err) == (0, "")
    records = {record.run_id: record for record in read_records(lab.results)}
    files = sorted((lab.results / "wandb").glob("offline-run-*/*.wandb"))
    assert {file.stem.removeprefix("run-") for file in files} == set(records)
    for file in files:
        record, told = records[file.stem.removeprefix("run-")], wandb_records(file)
        items = [
            {item.nested_key[0] if item.nested_key else item.key: json.loads(item.value_json)
             for item in each.history.item}
            for each in told if each.WhichOneof("record_type") == "history"
        ]  # fmt: skip
        history = RunFolder(lab.results, record.run_id).read_metrics()
        assert [each["train/loss"] for each in items] == [pytest.approx(each.train_loss) for each in history]
        (run,) = (each.run for each in told if each.WhichOneof("record_type") == "run")
        assert (run.project, run.run_group, run.display_name) == (
            "cifar-lab",
            "tiny (epochs=2)",
            f"tiny (epochs=2) · seed {record.seed}",
        )
        config = {item.key: json.loads(item.value_json) for item in run.config.update}
        assert config["optimizer.lr"] == "0.02"
        summary = {
            item.nested_key[0] if item.nested_key else item.key: json.loads(item.value_json)
            for each in told if each.WhichOneof("record_type") == "summary" for item in each.summary.update
        }  # fmt: skip
        assert record.test is not None
        assert (summary["test/accuracy"], summary["status"]) == (pytest.approx(record.test.accuracy), "done")


@pytest.mark.slow
def test_a_mirror_that_cannot_write_costs_a_line_and_no_run(lab: Any) -> None:
    lab.write("taken", "a file, no folder")
    done = lab("run", "tiny.yaml", "--seeds", "4", "--mirror", "mlflow:taken/ml.db")
    assert done.code == 0
    note, line = done.err.splitlines()
    assert note == "note: --seeds 4 is seed number 4 alone; for 4 seeds, write --seeds 4x"
    assert line.startswith("cifar-lab: mirror mlflow: stopped (")
    assert line.endswith("; the runs continue and their records are complete")
    assert len(read_records(lab.results)) == 1


def test_a_wrong_mirror_changes_nothing(lab: Any) -> None:
    before = lab.listing()
    done = lab("run", "tiny.yaml", "--mirror", "mlflow:https://example.org")
    assert (done.code, lab.listing()) == (2, before)
    assert "servers are not supported" in done.err
