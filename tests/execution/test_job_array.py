"""The script of docs/cluster.md for a job array, executed by processes that stand in for its tasks."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cifar_lab.store.results import read_records

from .several import PATIENCE_SECONDS, Commands, write_files

GUIDE = Path(__file__).parents[2] / "docs" / "cluster.md"


@pytest.fixture
def array(tmp_path: Path) -> Iterator[Commands]:
    """A folder with the script, and programs in place of SLURM's."""
    (script,) = re.findall(r"```sh\n(#!/bin/bash\n.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "job.sh").write_text(script)
    programs = {"cifar-lab": f'exec {sys.executable} -m cifar_lab "$@"', "scontrol": 'echo "$@" >> requeued'}
    (tmp_path / "bin").mkdir()
    for name, line in programs.items():
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)
    commands = Commands(tmp_path)
    yield commands
    commands.kill()


def start_task(array: Commands, number: int) -> subprocess.Popen[bytes]:
    """Task `number` of job 7."""
    environment = {
        "SLURM_ARRAY_JOB_ID": "7",
        "SLURM_ARRAY_TASK_ID": str(number),
        "PATH": f"{array.folder / 'bin'}:/usr/bin:/bin",
    }
    return array.start_process(["bash", "job.sh"], environment)


def wait_for(array: Commands, number: int, text: str) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while text not in array.said(number):
        assert time.monotonic() < give_up, array.said()
        time.sleep(0.02)


@pytest.mark.slow
def test_tasks_share_a_folder_and_one_that_nears_its_limit_is_queued_again(array: Commands) -> None:
    write_files(array.folder, epochs=12, train_size=4000)
    (array.folder / "base.yaml").rename(array.folder / "arm.yaml")
    tasks = [start_task(array, number) for number in range(3)]
    wait_for(array, 0, "epoch 1/12")
    tasks[0].send_signal(signal.SIGUSR1)
    assert tasks[0].wait(PATIENCE_SECONDS) == 124, array.said(0)
    assert "SIGUSR1 announced the end of the job: stopping after the current epoch" in array.said(0)
    assert "; 0 of 1 runs have ended, the others keep their last completed epoch; run the same command" in array.said(0)
    assert (array.folder / "requeued").read_text() == "requeue 7_0\n"
    assert start_task(array, 0).wait(PATIENCE_SECONDS) == 0, array.said(3)
    assert "arm · seed 0: resumes after epoch " in array.said(3)
    assert [task.wait(PATIENCE_SECONDS) for task in tasks[1:]] == [0, 0]
    assert (array.folder / "requeued").read_text() == "requeue 7_0\n"
    assert [record.seed for record in read_records(array.folder / "results")] == [0, 1, 2]
