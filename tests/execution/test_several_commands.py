"""Several commands at once on one results folder: each run is made once, and equals that of a single command."""

from __future__ import annotations

import itertools
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cifar_lab.store.results import run_ids

from .several import HALVING, PATIENCE_SECONDS, SWEEP, Commands, state_of, write_files

SWEEP_COMMAND = ("sweep", "grid.yaml", "--workers", "1", "-v")


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    found = Commands(tmp_path)
    write_files(tmp_path)
    yield found
    found.kill()


def alone(commands: Commands, *words: str) -> dict[str, object]:
    """State that a single command leaves, in another folder than the shared one."""
    single = Commands(commands.folder)
    single.logs = [commands.folder / "unused"]
    single.start(*words, "--results", "alone")
    try:
        assert single.end() == [0], single.said(1)
    finally:
        single.kill()
    return state_of(commands.folder / "alone")


def wait_until(condition: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def assert_each_once(commands: Commands, runs: int, epochs: int) -> None:
    """Every epoch of every run was trained once by one of the commands, which says so."""
    made, trained = commands.made_runs(), commands.trained_epochs()
    assert (len(made), set(made.values())) == (runs, {1}), commands.said()
    assert (len(trained), set(trained.values())) == (runs * epochs, {1}), commands.said()


def test_two_commands_at_once_share_the_runs_and_equal_one(commands: Commands) -> None:
    words = ("run", "base.yaml", "--seeds", "3x", "--wait", "--workers", "1", "-v")
    for _ in range(2):
        commands.start(*words)
    assert commands.end() == [0, 0], commands.said()
    assert_each_once(commands, runs=3, epochs=3)
    assert [path.name for path in (commands.folder / "results").iterdir()] == ["runs"]
    assert state_of(commands.folder / "results") == alone(commands, *words)


def test_a_held_run_is_skipped_or_awaited_never_discarded_and_free_at_once_after_a_kill(commands: Commands) -> None:
    write_files(commands.folder, epochs=5000)
    first = commands.start("run", "base.yaml", "-v")
    wait_until(lambda: "epoch 2/5000" in commands.said(0))
    forced = commands.start("run", "base.yaml", "--force")
    waiting = commands.start("run", "base.yaml", "--wait")
    skipping = commands.start("run", "base.yaml", "other.yaml")
    assert forced.wait(60) == 4
    told = r"^cifar-lab: results/runs/\w+: held by process \d+ on .+; wait for it, or end it"
    assert re.search(told, commands.said(1), re.MULTILINE)
    assert skipping.wait(60) == 0
    assert "base · seed 0: skipped: held by process " in commands.said(3)
    assert "other · seed 0: done, " in commands.said(3)
    assert "1 run held by another command and skipped; with --wait, the command waits for them" in commands.said(3)
    assert commands.said(3).endswith("next: cifar-lab run base.yaml other.yaml --wait\n")
    wait_until(lambda: "base · seed 0: held by process " in commands.said(2))
    first.kill()
    wait_until(lambda: "base · seed 0: resumes after epoch" in commands.said(2))
    waiting.send_signal(signal.SIGTERM)
    assert waiting.wait(60) == 143


def test_a_stop_of_one_command_leaves_the_others_alone(commands: Commands) -> None:
    write_files(commands.folder, epochs=6, train_size=2000)
    first, second = commands.start(*SWEEP_COMMAND), commands.start(*SWEEP_COMMAND)
    wait_until(lambda: all("epoch 1/6" in commands.said(number) for number in range(2)))
    first.send_signal(signal.SIGINT)
    assert first.wait(60) == 130
    assert second.poll() is None
    second.send_signal(signal.SIGUSR1)
    assert second.wait(60) == 124
    assert "SIGUSR1 announced the end of the job; " in commands.said(1)
    assert "run the same command again (without --force) to resume" in commands.said(1)


NUMBERS = [2, *(pytest.param(number, marks=pytest.mark.long) for number in (4, 8))]
"""Commands at once."""


@pytest.mark.slow
@pytest.mark.parametrize("sweep", [SWEEP, HALVING], ids=["grid", "halving"])
@pytest.mark.parametrize("number", NUMBERS)
def test_many_sweeps_at_once_share_the_runs_and_equal_one(number: int, sweep: str, commands: Commands) -> None:
    write_files(commands.folder, sweep=sweep)
    for _ in range(number):
        commands.start(*SWEEP_COMMAND)
    assert commands.end() == [0] * number, commands.said()
    assert set(commands.trained_epochs().values()) == {1}, commands.said()
    if sweep == SWEEP:
        assert_each_once(commands, runs=10, epochs=3)
    assert all("Trained again with fresh seeds, then tested:" in commands.said(each) for each in range(number))
    assert [path.name for path in (commands.folder / "results").iterdir() if path.name.startswith(".")] == []
    assert state_of(commands.folder / "results") == alone(commands, *SWEEP_COMMAND)


@pytest.mark.slow
@pytest.mark.parametrize("number", NUMBERS)
def test_sweeps_that_are_killed_and_started_again_make_each_run_once(number: int, commands: Commands) -> None:
    """An epoch is trained twice only if its command was killed amid it, or before it could say that it was saved."""
    write_files(commands.folder, epochs=6, train_size=1000)
    chance, kills = random.Random(number), 0
    for _ in range(number):
        commands.start(*SWEEP_COMMAND)
    for signum in itertools.islice(itertools.cycle([signal.SIGKILL, signal.SIGTERM]), 2 * number):
        time.sleep(chance.uniform(0.5, 3))
        alive = [process for process in commands.running if process.poll() is None]
        if not alive:
            break
        victim = chance.choice(alive)
        victim.send_signal(signum)
        kills += 1
        commands.start(*SWEEP_COMMAND)
    codes = commands.end()
    # SIGTERM ends a command that has not started to listen for it, as it ends any program.
    assert set(codes) <= {0, -signal.SIGKILL, -signal.SIGTERM, 143}, f"{codes}: {commands.said()}"
    assert codes.count(0) >= 1
    results = commands.folder / "results"
    assert len(run_ids(results)) == 10
    repeated = sum(count - 1 for count in commands.trained_epochs().values())
    assert repeated <= kills
    assert max(commands.made_runs().values()) == 1
    assert state_of(results) == alone(commands, *SWEEP_COMMAND)
