"""A sweep that is killed, or refused the disk, at every act on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.core.atomic_io import CRASH_AT

from .registry import Case, case

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("crash_walk.py")
PARTS = 3
"""Of the walk: one process each, so that those of `pytest -n` share it. Odd, for torn and full writes alternate."""


@dataclass(frozen=True)
class Walk:
    """One part of the trials."""

    part: int
    acts: list[str]
    """All acts of an undisturbed sweep."""
    trials: list[dict[str, Any]]
    """Those of this part."""

    @property
    def writes(self) -> list[int]:
        """Numbers of the acts that can be torn or refused."""
        return [number for number, act in enumerate(self.acts, start=1) if act.startswith("write ")]

    def of_kind(self, how: str) -> list[dict[str, Any]]:
        """Its trials of one kind, of which none is missing."""
        ended = [(number, "crash") for number in range(1, len(self.acts) + 1)]
        ended += [(number, kind) for number in self.writes for kind in ("torn", "full")]
        found = [trial for trial in self.trials if trial["how"] == how]
        expected = [number for number, kind in ended[self.part :: PARTS] if kind == how]
        assert [trial["number"] for trial in found] == expected
        return found


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(part, marks=[pytest.mark.xdist_group(f"walk {part}"), *([pytest.mark.long] if part else [])])
        for part in range(PARTS)
    ],
    ids=lambda part: f"part {part + 1} of {PARTS}",
)
def walk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Walk:
    folder = tmp_path_factory.mktemp("walk")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), str(request.param), str(PARTS)],
        capture_output=True, text=True, timeout=900,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    acts, *trials = map(json.loads, done.stdout.splitlines())
    return Walk(request.param, acts, trials)


@case(
    2,
    "killed before any act on the disk (write, sync, rename, removal, new folder)",
    remains="whole files only; the same command again leaves the very bytes of an undisturbed sweep",
)
def test_a_sweep_killed_before_any_act_goes_on_to_the_same_results(walk: Walk) -> None:
    trials = walk.of_kind("crash")
    kinds = {act.rpartition(" ")[0] for act in walk.acts}
    assert kinds == {"make folder", "write", "sync file", "rename", "sync folder", "remove"}
    assert len(walk.acts) > 100
    assert {trial["code"] for trial in trials} == {-9}
    assert [trial for trial in trials if trial["damage"] or not trial["same"]] == []


@case(2, "killed amid a write", remains="the file as it was before; half a file has a name that nobody reads")
def test_a_sweep_killed_amid_any_write_goes_on_to_the_same_results(walk: Walk) -> None:
    trials = walk.of_kind("torn")
    assert len(walk.writes) > 30
    assert {trial["code"] for trial in trials} == {-9}
    assert [trial for trial in trials if trial["damage"] or not trial["same"]] == []


@case(
    8,
    "the disk refuses any one write of a sweep",
    remains="what was written before; the same command again leaves the very bytes of an undisturbed sweep",
    says="{path}: cannot be written (No space left on device{more}); free space or choose another folder with "
    "--results, then run the same command again",
    code=4,
)
def test_a_sweep_that_is_refused_any_write_ends_with_4_and_goes_on(walk: Walk, case: Case) -> None:
    trials = walk.of_kind("full")
    assert len(walk.writes) > 30
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
