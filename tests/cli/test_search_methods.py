"""`cifar-lab sweep` that proposes as it goes: killed with its workers, begun again, exported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.core.extras import install_words

SWEEP = """\
base: tiny.yaml
search: {method: tpe, trials: 4, batch: 2, top: 1, confirm_seeds: [100], val_size: 50}
space:
  optimizer.lr: {min: 0.001, max: 0.2, log: true}
"""


def sweep_files(lab: Any, results: str) -> list[bytes]:
    folder = lab.folder / results / "sweeps" / "proposed"
    return [(folder / name).read_bytes() for name in ("plan.json", "history.json", "winners.json")]


@pytest.fixture
def proposed(lab: Any) -> Any:
    lab.write("proposed.yaml", SWEEP)
    return lab


def kill_in_the_second_batch(lab: Any) -> None:
    """Give the command, and end it and its workers at once when the third run has begun."""
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(
        [sys.executable, "-m", "cifar_lab", "sweep", "proposed.yaml", "--workers", "2"],
        cwd=lab.folder, env=lab.environment, stdin=nothing, stdout=nothing, start_new_session=True,
    )  # fmt: skip
    runs: Path = lab.results / "runs"
    give_up = time.monotonic() + 60
    while len(list(runs.glob("*"))) < 3 and process.poll() is None and time.monotonic() < give_up:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_a_search_that_was_killed_proposes_and_finds_what_an_undisturbed_one_does(proposed: Any) -> None:
    kill_in_the_second_batch(proposed)
    assert not (proposed.results / "sweeps" / "proposed" / "winners.json").exists()
    again = proposed("sweep", "proposed.yaml", "--workers", "2")
    assert (again.code, again.err) == (0, "")
    undisturbed = proposed("sweep", "proposed.yaml", "--workers", "1", "--results", "undisturbed")
    assert (undisturbed.code, undisturbed.err) == (0, "")
    assert sweep_files(proposed, "results") == sweep_files(proposed, "undisturbed")
    assert {path.name for path in (proposed.results / "runs").iterdir()} == {
        path.name for path in (proposed.folder / "undisturbed" / "runs").iterdir()
    }

    done = proposed("sweep", "proposed.yaml", "--export-optuna", "study.db")
    assert (done.code, done.err) == (0, "")
    assert done.lines == ["wrote study.db: 4 trials; to view it: optuna-dashboard sqlite:///study.db"]


def test_without_optuna_nothing_is_begun(proposed: Any) -> None:
    (proposed.folder / "optuna.py").write_text("raise ImportError('not here')\n")
    done = proposed("sweep", "proposed.yaml", PYTHONPATH=f"{proposed.folder}:{os.environ.get('PYTHONPATH', '')}")
    assert (done.code, done.out) == (6, "")
    assert done.err == f"cifar-lab: search.method: tpe: Optuna is not installed; {install_words('optuna')}\n"
    assert not proposed.results.exists()
