"""Tries, failures and time: the options of `run` and `sweep`, and what a later command makes of what failed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

FRAGILE = """\
import os
from pathlib import Path
from torch import nn

class Fragile(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.layer = nn.Linear(3 * 32 * 32, num_classes)

    def forward(self, images):
        if self.training and not Path(__file__).with_name("mended").exists():
            os._exit(7)
        return self.layer(images.flatten(1))
"""


@pytest.fixture
def fragile(lab: Any) -> Any:
    """The lab with `mine.yaml`, whose runs die in training until there is a file `mended`."""
    lab.write("fragile.py", FRAGILE)
    lab.write("mine.yaml", "extends: tiny.yaml\nlabel: mine\nmodel: {name: 'fragile.py:Fragile'}\n")
    return lab


def failures(lab: Any) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(lab.results.glob("runs/*/failure.json"))]


@pytest.mark.slow
def test_a_failure_is_written_down_and_known_to_every_later_command(fragile: Any) -> None:
    first = fragile("run", "mine.yaml", "--seeds", "0", "--retries", "0", "--no-trial")
    assert (first.code, first.err) == (1, "")
    assert "[1/1] mine · seed 0: failed: its process ended with 7" in first.progress
    (failure,) = failures(fragile)
    assert (failure["kind"], failure["attempts"], failure["label"], failure["seed"]) == ("killed", 1, "mine", 0)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", failure["when"])
    (listed,) = (line for line in fragile("list").lines if line.startswith(failure["run_id"]))
    assert listed.split()[1:5] == ["mine", "0", "failed", "(killed)"]
    shown = fragile("show", failure["run_id"])
    assert f"why: its process ended with 7 ({failure['when']})" in shown.lines
    planned = fragile("run", "mine.yaml", "--seeds", "0", "--dry-run", "--no-trial")
    assert planned.lines[-2] == "1 run: 1 to train, 1 of these failed before"
    assert "to train; failed before (killed)" in planned.out

    began = time.monotonic()
    left = fragile("run", "mine.yaml", "tiny.yaml", "--seeds", "0", "--retry", "none", "--no-trial")
    assert left.code == 1
    reason = f"its process ended with 7 (at {failure['when']}; not retried: --retry none)"
    assert f"[1/2] mine · seed 0: failed: {reason}" in left.progress
    assert "[2/2] tiny · seed 0: done" in " ".join(left.progress)
    assert failures(fragile) == [failure]
    assert began < time.monotonic()

    fragile.write("mended", "")
    # The file beside the model is no part of it, so the run is the same.
    again = fragile("run", "mine.yaml", "--seeds", "0", "--retry", "failed", "--no-trial")
    assert (again.code, again.err) == (0, "")
    assert failures(fragile) == []
    assert fragile("run", "mine.yaml", "--seeds", "0", "--retry", "none", "--no-trial").code == 0


@pytest.mark.slow
def test_after_so_many_failures_no_run_is_begun(fragile: Any) -> None:
    done = fragile(
        "run",
        "mine.yaml",
        "tiny.yaml",
        "--seeds",
        "0-3",
        "--workers",
        "1",
        "--retries",
        "0",
        "--fail-fast",
        "--no-trial",
    )
    assert done.code == 1
    assert "1 run has failed: stopping after the current epoch; press Ctrl-C twice to stop immediately\n" in done.err
    assert re.search(
        r"cifar-lab: stopped, 1 run has failed; [12] of 8 runs have ended, the others keep their last completed epoch; "
        r"the last: mine · seed \d: its process ended with 7; fix this, then run the same command again",
        done.err,
    )
    assert len(failures(fragile)) <= 2


@pytest.mark.slow
def test_a_command_that_has_no_more_time_ends_with_124_and_can_go_on(lab: Any) -> None:
    lab.write("long.yaml", "extends: tiny.yaml\nlabel: long\nepochs: 10000\nseeds: [0]\n")
    began = time.monotonic()
    done = lab("run", "long.yaml", "--time-limit", "4s")
    assert done.code == 124
    assert 4 < time.monotonic() - began < 60
    assert done.err.splitlines()[-1] == (
        "cifar-lab: stopped, the time limit is reached; 0 of 1 runs have ended, the others keep their last completed "
        "epoch; run the same command again (without --force) to resume"
    )
    assert lab("run", "long.yaml", "--dry-run").lines[-2].startswith("1 run: 1 to ")


@pytest.mark.slow
def test_diverged_runs_are_trained_again_only_when_all_is_said(lab: Any) -> None:
    arguments = ("run", "tiny.yaml", "--seeds", "0", "--set", "optimizer.lr=1e9")
    assert lab(*arguments).code == 5
    (record,) = lab.results.glob("runs/*/record.json")
    before = record.stat().st_mtime_ns
    assert lab(*arguments, "--retry", "failed").progress[0] == "1 run: 1 already done"
    assert record.stat().st_mtime_ns == before
    again = lab(*arguments, "--retry", "all")
    assert (again.code, again.progress[0]) == (5, "1 run: 1 to train")
    assert record.stat().st_mtime_ns != before


@pytest.mark.parametrize("command", ["run", "sweep"])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--time-limit", "soon", "--run-timeout", "90"],
         "cifar-lab: --time-limit: 'soon' is not a duration; write 90s, 15m, 2h or 1h30m\n"
         "cifar-lab: --run-timeout: '90' is not a duration; write 90s, 15m, 2h or 1h30m\n"),
        (["--run-timeout", "0s"], "--run-timeout: '0s' is out of range"),
        (["--retries", "-1"], "--retries"),
        (["--max-failures", "0"], "--max-failures"),
        (["--retry", "some"], "'some' is not one of"),
    ],
)  # fmt: skip
def test_wrong_limits_are_2_and_change_nothing(lab: Any, command: str, arguments: list[str], said: str) -> None:
    before = lab.listing()
    done = lab(command, "tiny.yaml", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert lab.listing() == before


WATCHED = """\
import sys
from cifar_lab.cli import main
sys.argv = ["cifar-lab", *sys.argv[1:]]
try:
    main()
finally:
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
    print(int(peak.split()[1]) // 1024, "torch" in sys.modules, file=sys.stderr)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc on this system")
def test_the_parent_of_a_sweep_stays_small(lab: Any) -> None:
    """With the chart of its winners, in MiB at its peak."""
    lab.write(
        "grid.yaml",
        "base: tiny.yaml\nsearch: {top: 1, confirm_seeds: [100], val_size: 50}\nspace: {optimizer.lr: [0.02, 0.1]}\n",
    )
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, "sweep", "grid.yaml", "--workers", "1"], cwd=lab.folder, env=lab.environment,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    peak, has_torch = done.stderr.splitlines()[-1].split()
    assert int(peak) < 150
    assert has_torch == "False"
