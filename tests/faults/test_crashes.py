"""A sweep that is killed, or refused the disk, at every act on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.core.atomic_io import CRASH_AT

from .registry import Case, case

SCRIPT = Path(__file__).with_name("crash_walk.py")
PARTS = 2


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Every trial, made by two processes side by side."""
    folders = [tmp_path_factory.mktemp(f"walk {part}") for part in range(PARTS)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    processes = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(folder), str(part), str(PARTS)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )
        for part, folder in enumerate(folders)
    ]  # fmt: skip
    trials: list[dict[str, Any]] = []
    for process in processes:
        told, wrong = process.communicate(timeout=900)
        assert process.returncode == 0, wrong
        trials += map(json.loads, told.splitlines())
    return sorted(trials, key=lambda trial: (trial["how"], trial["number"]))


def of_kind(walk: list[dict[str, Any]], how: str) -> list[dict[str, Any]]:
    return [trial for trial in walk if trial["how"] == how]


@case(
    2,
    "killed before any act on the disk (write, sync, rename, removal, new folder)",
    remains="whole files only; the same command again leaves the very bytes of an undisturbed sweep",
)
def test_a_sweep_killed_before_any_act_goes_on_to_the_same_results(walk: list[dict[str, Any]]) -> None:
    trials = of_kind(walk, "crash")
    assert [trial["number"] for trial in trials] == list(range(1, len(trials) + 1))
    kinds = {trial["act"].rpartition(" ")[0] for trial in trials}
    assert kinds == {"make folder", "write", "sync file", "rename", "sync folder", "remove"}
    assert len(trials) > 100
    assert {trial["code"] for trial in trials} == {-9}
    assert [trial for trial in trials if trial["damage"] or not trial["same"]] == []


@case(2, "killed amid a write", remains="the file as it was before; half a file has a name that nobody reads")
def test_a_sweep_killed_amid_any_write_goes_on_to_the_same_results(walk: list[dict[str, Any]]) -> None:
    trials = of_kind(walk, "torn")
    assert len(trials) > 30
    assert {trial["code"] for trial in trials} == {-9}
    assert [trial for trial in trials if trial["damage"] or not trial["same"]] == []


@case(
    8,
    "the disk refuses any one write of a sweep",
    remains="what was written before; the same command again leaves the very bytes of an undisturbed sweep",
    says="{path}: cannot be written (No space left on device{more}); free space or choose another folder with "
    "--results, then give the same command again",
    code=4,
)
def test_a_sweep_that_is_refused_any_write_ends_with_4_and_goes_on(walk: list[dict[str, Any]], case: Case) -> None:
    trials = of_kind(walk, "full")
    assert len(trials) > 30
    for trial in trials:
        assert trial["code"] == case.code
        assert "No space left on device" in trial["said"]
        if "/cache/" not in trial["act"]:
            assert case.pattern().search(trial["said"]), trial["said"]
        assert trial["damage"] == []
        assert trial["same"]


@case(
    2,
    "a worker process that crashes at an act of its own",
    remains="whole files only; the next command goes on and ends with 0",
    says="[1/1] crash · seed 0: failed: {words}killed by signal 9",
    code=1,
)
def test_the_variable_crashes_a_real_worker_and_the_next_command_goes_on(
    lab: Any, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lab.file("crash", "epochs=1")
    lab.job(lab.settings("epochs=1"))  # prepares the images: the parent has little left to write
    monkeypatch.setenv(CRASH_AT, "9")
    code, told, wrong = lab.command("run", path)
    case.check(told + wrong, code)
    monkeypatch.delenv(CRASH_AT)
    code, told, wrong = lab.command("run", path)
    assert (code, wrong) == (0, "")
    assert [record.status for record in lab.records()] == ["done"]
