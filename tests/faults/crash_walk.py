"""Ends a small sweep at its N-th act on the disk, for every N, and makes it again each time.

    python crash_walk.py FOLDER PART PARTS

Each act is ended in up to three ways: `crash` (killed before it), `torn` (killed amid a write) and `full` (the disk
refuses a write). Of all trials this process makes those whose remainder by PARTS is PART. Prints a JSON line of
all acts, then one for each trial: the act, how the sweep ended, what was wrong with what it left, and whether the sweep
that followed left what an undisturbed one does. All sweeps are made in forks of one process, which has torch imported
already. The disk is not waited for: a process that dies takes nothing with it that the system has; what a power cut
takes is another test's.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from forks import in_fork
from small_sweep import state_of, sweep_here, write_files

from cifar_lab.core import atomic_io as durable
from cifar_lab.store.verify import verify_results
from cifar_lab.training import build


def in_child(action: Callable[[], object], crash_at: str = "") -> tuple[int, str]:
    """As `in_fork`, of acts on the disk that are counted from 1."""

    def counted() -> None:
        durable._acts = itertools.count(1)
        os.environ[durable.CRASH_AT] = crash_at
        action()

    return in_fork(counted)


def refuse(number: int) -> None:
    """From now on the act of this number finds the disk full."""
    count = durable._count

    def counted(act: durable.DiskAct, path: Path, new: Path | None = None) -> int:
        found = count(act, path, new)
        if found == number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return found

    durable._count = counted


def record_acts(file: Path, folder: Path) -> list[str]:
    """The acts of an undisturbed sweep, which leaves `folder`."""
    count, told = durable._count, folder.with_suffix(".acts")

    def counted(act: durable.DiskAct, path: Path, new: Path | None = None) -> int:
        with told.open("a") as lines:
            lines.write(f"{act} {path.relative_to(folder.parent)}\n")
        return count(act, path, new)

    def action() -> None:
        durable._count = counted
        make(file, folder)

    assert in_child(action) == (0, "")
    return told.read_text().splitlines()


def make(file: Path, folder: Path) -> None:
    os.environ["CIFAR_LAB_CACHE"] = str(folder / "cache")
    sweep_here(file, folder / "results")


def warm_up(file: Path, folder: Path) -> None:
    """What a first sweep imports and starts, every fork then has."""
    os.fsync = lambda descriptor: None
    torch.set_num_threads(1)
    with contextlib.redirect_stderr(io.StringIO()):
        make(file, folder)
    build._splits.cache_clear()
    build._training_split.cache_clear()
    gc.freeze()


def main() -> None:
    folder, part, parts = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    file = write_files(folder)
    warm_up(file, folder / "warm")
    acts = record_acts(file, folder / "undisturbed")
    expected = state_of(folder / "undisturbed" / "results")
    print(json.dumps(acts), flush=True)
    trials = [(number, act, "crash") for number, act in enumerate(acts, start=1)]
    trials += [(number, act, how) for number, act, _ in trials if act.startswith("write ") for how in ("torn", "full")]
    for number, act, how in trials[part::parts]:
        trial = folder / f"{number} {how}"
        code, said = end_at(number, how, partial(make, file, trial))
        os.environ["CIFAR_LAB_CACHE"] = str(folder / "no cache")
        found = verify_results(trial / "results")
        again = in_child(partial(make, file, trial))
        same = again == (0, "") and state_of(trial / "results") == expected
        told = {
            "number": number, "act": act, "how": how, "code": code, "said": said,
            "damage": [*found.damage, *found.notes], "again": again, "same": same,
        }  # fmt: skip
        print(json.dumps(told), flush=True)
        shutil.rmtree(trial, ignore_errors=True)


def end_at(number: int, how: str, action: Callable[[], object]) -> tuple[int, str]:
    """Do it until the act of this number, in a fork; how that ended."""
    if how == "full":

        def refused() -> None:
            refuse(number)
            action()

        return in_child(refused)
    return in_child(action, f"{number}:torn" if how == "torn" else str(number))


if __name__ == "__main__":
    main()
