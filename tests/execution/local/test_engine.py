"""Runs in worker processes: signals, deaths, strange models, two commands at once. All with the real command."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.execution.local.engine import execute
from cifar_lab.execution.tasks import make_tasks
from cifar_lab.store.results import RunFolder
from cifar_lab.training import checkpoint

from ..own_model import MODEL_CLASS

pytestmark = pytest.mark.slow

LONG = ("data.train_size=1000", "data.batch_size=4", "epochs=500")
"""250 steps an epoch, for minutes: it is still under way whenever a signal comes."""


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(happened: Callable[[], bool], otherwise: str, seconds: float = 20) -> None:
    """Look until it has happened: neither a stranger's end nor a file gives an event to wait for."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"{otherwise} after {seconds} s"
        time.sleep(0.02)


def wait_until_gone(pids: list[int]) -> None:
    wait_until(lambda: not any(map(alive, pids)), f"processes {pids} are still there", 5)


def saved_epochs(lab: Any) -> int:
    """How many epochs the one run that is under way has kept."""
    (folder,) = (lab.results / "runs").iterdir()
    state, notes = checkpoint.load_newest(folder / "checkpoint.bin")
    assert notes == []
    return len(state["history"]) if state else 0


# --- signals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole_group", [False, True], ids=["to the parent", "to its process group"])
def test_ctrl_c_once_keeps_the_epoch_and_says_how_to_go_on(lab: Any, whole_group: bool) -> None:
    path = lab.file("long", *LONG)
    with lab.start("run", path) as command:
        command.wait_for("epoch 1/500")
        workers = command.workers()
        send = os.killpg if whole_group else os.kill
        send(command.process.pid, signal.SIGINT)
        assert command.end() == 130
        said = command.said_on_stderr()
        epochs_told = sum("long · seed 0: epoch" in line for line in command.heard)
    assert "stopping after the current epoch; press Ctrl-C again to stop immediately" in said
    assert said.splitlines()[-1].startswith("cifar-lab: stopped; ")
    assert said.endswith("run the same command again (without --force) to resume\n")
    assert "Traceback" not in said
    assert f"stopped after epoch {epochs_told}, whose checkpoint is kept" in command.output
    assert saved_epochs(lab) == epochs_told >= 1
    wait_until_gone(workers)


def test_ctrl_c_twice_stops_at_once_and_keeps_the_last_whole_epoch(lab: Any) -> None:
    path = lab.file("endless", f"model.name={slow_model(lab)}", "epochs=2")
    with lab.start("run", path) as command:
        wait_for_second_epoch(lab, command)
        workers = command.workers()
        os.kill(command.process.pid, signal.SIGINT)
        wait_until(
            lambda: "stopping after the current epoch" in command.said_on_stderr(), "the first Ctrl-C was not heard"
        )
        began = time.monotonic()
        os.kill(command.process.pid, signal.SIGINT)
        assert command.end() == 130
        assert time.monotonic() - began < 5
    assert saved_epochs(lab) == 1
    wait_until_gone(workers)


def test_sigterm_ends_within_10_seconds_though_the_epoch_is_longer(lab: Any) -> None:
    path = lab.file("endless", f"model.name={slow_model(lab)}", "epochs=2")
    with lab.start("run", path) as command:
        wait_for_second_epoch(lab, command)
        workers = command.workers()
        began = time.monotonic()
        os.kill(command.process.pid, signal.SIGTERM)
        for worker in workers:  # as a service manager does
            os.kill(worker, signal.SIGTERM)
        assert command.end() == 143
        assert 7 < time.monotonic() - began < 10
    assert saved_epochs(lab) == 1
    wait_until_gone(workers)


SECOND_EPOCH = r"epoch ([2-9]|\d\d+)/500"
"""Or a later one: epochs may pass between two pictures."""


@dataclass
class InTerminal:
    """A command under way on a terminal of its own."""

    process: subprocess.Popen[bytes]
    keyboard: int
    """Descriptor of the terminal's other end."""
    shown: str = ""

    def read_until(self, pattern: str | None) -> None:
        """Read what is shown until it matches `pattern`; None reads to the end."""
        while pattern is None or not re.search(pattern, self.shown):
            try:
                chunk = os.read(self.keyboard, 4096)
            except OSError:  # Linux tells the end of a terminal so
                chunk = b""
            if not chunk:
                assert pattern is None, self.shown
                return
            self.shown += chunk.decode(errors="replace")


def take_terminal() -> None:
    """Be a program that a shell starts at the terminal on standard input, even where the tests run under nohup."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def in_terminal(lab: Any) -> Iterator[Callable[..., InTerminal]]:
    started: list[InTerminal] = []

    def start(*arguments: str | Path) -> InTerminal:
        keyboard, screen = os.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "cifar_lab", *map(str, arguments)],
            cwd=lab.folder,
            stdin=screen,
            stdout=screen,
            stderr=screen,
            start_new_session=True,
            preexec_fn=take_terminal,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "150"},
        )
        os.close(screen)
        started.append(InTerminal(process, keyboard))
        return started[-1]

    yield start
    for each in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(each.process.pid, signal.SIGKILL)
        each.process.wait()
        with contextlib.suppress(OSError):
            os.close(each.keyboard)


@pytest.fixture
def nohup() -> Iterator[None]:
    """Programs that are started ignore SIGHUP."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


def test_ctrl_c_at_a_terminal_ends_after_the_epoch_and_gives_the_cursor_back(
    lab: Any, in_terminal: Callable[..., InTerminal]
) -> None:
    command = in_terminal("run", lab.file("long", *LONG))
    command.read_until(SECOND_EPOCH)
    os.write(command.keyboard, b"\x03")
    command.read_until(None)
    assert command.process.wait(10) == 130
    assert "stopping after the current epoch; press Ctrl-C again to stop immediately" in command.shown
    assert "0/1 run" in command.shown
    assert command.shown.rindex("\x1b[?25h") > command.shown.rindex("\x1b[?25l")
    assert "Traceback" not in command.shown
    assert f"stopped after epoch {saved_epochs(lab)}, whose checkpoint is kept" in command.shown


def test_a_terminal_that_is_closed_is_as_sigterm(lab: Any, in_terminal: Callable[..., InTerminal]) -> None:
    command = in_terminal("run", lab.file("long", *LONG))
    command.read_until(SECOND_EPOCH)
    os.close(command.keyboard)
    assert command.process.wait(10) == 143
    assert saved_epochs(lab) >= 1


def test_under_nohup_a_hangup_is_ignored(lab: Any, nohup: None) -> None:
    with lab.start("run", lab.file("long", *LONG)) as command:
        command.wait_for("epoch 1/500")
        os.killpg(command.process.pid, signal.SIGHUP)
        for worker in command.workers():
            os.kill(worker, signal.SIGHUP)
        command.wait_for("epoch")
        os.kill(command.process.pid, signal.SIGINT)
        assert command.end() == 130
        assert "stopping after the current epoch" in command.said_on_stderr()


# --- deaths ---------------------------------------------------------------------------------------------------------


def test_a_parent_that_is_killed_leaves_no_worker_behind(lab: Any) -> None:
    with lab.start("run", lab.file("long", *LONG)) as command:
        command.wait_for("epoch 1/500")
        workers = command.workers()
        assert len(workers) == 1
        command.process.kill()
        wait_until_gone(workers)
    assert saved_epochs(lab) >= 1


@pytest.mark.parametrize("force", [[], ["--force"]], ids=["plain", "forced"])
def test_a_worker_that_is_killed_once_costs_nothing_but_its_epoch(lab: Any, force: list[str]) -> None:
    settings = ("data.batch_size=2", "epochs=4")  # 115 steps an epoch
    path = lab.file("struck", *settings)
    with lab.start("run", path, *force) as command:
        command.wait_for("epoch 2/4")
        (worker,) = command.workers()
        os.kill(worker, signal.SIGKILL)
        command.wait_for("resumes after epoch")
        (second,) = command.workers()
        assert second != worker
        assert command.end() == 0
    (record,) = lab.records()
    assert record.status == "done"
    assert [note for note in record.notes if note in {"resumed after epoch 2", "resumed after epoch 3"}]
    undisturbed = lab.job(lab.settings(*settings), results="undisturbed")
    lab.make(undisturbed)
    ours, theirs = RunFolder(lab.results, record.run_id), lab.run_folder(undisturbed)
    assert ours.weights.read_bytes() == theirs.weights.read_bytes()
    assert ours.predictions.read_bytes() == theirs.predictions.read_bytes()


# --- models of one's own --------------------------------------------------------------------------------------------

MODEL = "import os, signal, time\n" + MODEL_CLASS


def model(lab: Any, act: str) -> str:
    """The name of a model that does `act` in each training step."""
    path = lab.folder / "mine.py"
    path.write_text(MODEL.format(act=act), encoding="utf-8")
    return f"{path}:Model"


def slow_model(lab: Any) -> str:
    """A model whose second epoch never ends (from pass 9 on, of 8 an epoch); it says so by a file `reached`."""
    return model(lab, "(open('reached', 'w').close(), time.sleep(600)) if self.passes > 8 else None")


def wait_for_second_epoch(lab: Any, command: Any) -> None:
    command.wait_for("epoch 1/2")
    wait_until((lab.folder / "reached").exists, "the second epoch has not begun")


def test_a_model_that_raises_names_its_line_and_lets_the_others_go_on(lab: Any) -> None:
    bad = lab.file("bad", f"model.name={model(lab, 'raise ZeroDivisionError(1, 2)')}")
    with lab.start("run", bad, lab.file("healthy"), "--no-trial") as command:
        assert command.end() == 1
        output, said = command.output, command.said_on_stderr()
    line = 1 + MODEL.splitlines().index("            {act}")
    assert f"bad · seed 0: failed: ZeroDivisionError: (1, 2) ({lab.folder}/mine.py:{line})" in output
    assert "healthy · seed 0: done" in output
    assert "Traceback" not in output + said


def test_a_model_that_prints_does_not_garble_the_events(lab: Any) -> None:
    act = "print('{\"event\": \"finished\"}', flush=True); os.write(1, b'loud\\\\n'); os.system('echo louder')"
    path = lab.file("loud", f"model.name={model(lab, act)}")
    code, output, said = lab.command("run", path)
    assert code == 0, said
    assert "loud · seed 0: epoch 3/3" in output
    assert "loud · seed 0: done" in output
    assert "louder" not in output
    assert lab.records()[0].status == "done"


# --- several ---------------------------------------------------------------------------------------------------------


def test_of_two_commands_on_one_folder_each_makes_its_runs_and_who_reads_goes_on(lab: Any) -> None:
    path = lab.file("long", *LONG)
    with lab.start("run", path) as first:
        first.wait_for("epoch 1/500")
        code, _, said = lab.command("run", lab.file("other"), "--results", "./results")
        assert (code, said) == (0, "")
        code, output, said = lab.command("list")
        assert (code, said) == (0, "")
        assert "running" in output
        first.wait_for("epoch")
        os.kill(first.process.pid, signal.SIGINT)
        assert first.end() == 130
    assert [record.label for record in lab.records()] == ["other"]
    assert [entry.name for entry in lab.results.iterdir()] == ["runs"]


def test_outcomes_come_in_the_order_of_the_jobs_and_events_one_at_a_time(lab: Any) -> None:
    jobs = [lab.job(lab.settings("epochs=1", "data.train_size=40"), seed=seed) for seed in (4, 2, 9)]
    heard: list[tuple[int, str]] = []
    outcomes = execute(make_tasks(jobs, 0), 2, lambda job, event: heard.append((job.seed, event.word)))
    assert [(outcome.job, outcome.status) for outcome in outcomes] == [(job, "done") for job in jobs]
    assert all(outcome.test_accuracy is not None and outcome.val_accuracy is None for outcome in outcomes)
    for job in jobs:
        assert [kind for seed, kind in heard if seed == job.seed] == ["started", "device", "epoch", "outcome"]


def test_what_goes_wrong_in_a_display_is_raised_and_not_swallowed(lab: Any) -> None:
    def broken(job: object, event: object) -> None:
        raise ArithmeticError("the display is broken")

    with pytest.raises(ArithmeticError, match=r"^the display is broken$"):
        execute(make_tasks([lab.job(lab.settings())], 0), 1, broken)
