"""Runs that are mirrored to TensorBoard and MLflow, end to end."""

from __future__ import annotations

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
