"""The power is cut after any act of a sweep, and the disk keeps what it was told to keep and no more."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cifar_lab.core import atomic_io as durable
from cifar_lab.store.results import RunFolder, find_records

from .power_cut import Disk, DiskAct
from .registry import case
from .small_sweep import state_of, sweep_here, write_files

CUTS = 3
"""Disks after each act that keep a random part of what was not synced."""


@dataclass(frozen=True)
class Recorded:
    """A sweep that was made once, act by act."""

    file: Path
    root: Path
    acts: list[DiskAct]
    acknowledged: dict[str, int]
    """Run → the number of acts after which it was said to be done."""
    state: dict[str, object]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder = tmp_path_factory.mktemp("recorded")
    root = folder / "disk"
    root.mkdir()
    acts: list[DiskAct] = []
    acknowledged: dict[str, int] = {}
    with pytest.MonkeyPatch.context() as patch:
        count, write_record = durable._count, RunFolder.write_record

        def noted(kind: durable.DiskAct, path: Path, new: Path | None = None) -> int:
            acts.append(DiskAct(kind, path, new))
            if kind == "sync file":
                written = next(act for act in reversed(acts) if act.kind == "write" and act.path == path)
                written.content = path.read_bytes()
            return count(kind, path, new)

        def acknowledge(self: RunFolder, record: object) -> None:
            write_record(self, record)  # type: ignore[arg-type]
            acknowledged[self.path.name] = len(acts)

        patch.setattr(durable, "_count", noted)
        patch.setattr(RunFolder, "write_record", acknowledge)
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setenv("CIFAR_LAB_CACHE", str(root / "cache"))
        (root / "cache").mkdir()
        file = write_files(folder)
        sweep_here(file, root / "results")
    return Recorded(file, root, acts, acknowledged, state_of(root / "results"))


def disks(recorded: Recorded, chance: random.Random) -> Iterator[tuple[int, Disk]]:
    """(number of acts done, the disk) after each act."""
    disk = Disk(recorded.root)
    disk.do(DiskAct("make folder", recorded.root / "cache"))
    disk.top.sync()
    for done, act in enumerate(recorded.acts, start=1):
        disk.do(act)
        yield done, disk


@case(
    3,
    "the power is cut after any act, and what was not synced is lost, torn, filled with zeros or kept",
    remains="every run that was said to be done, whole; no record and no file of a record that is damaged",
)
def test_a_run_that_was_said_to_be_done_outlives_the_power(recorded: Recorded, tmp_path: Path) -> None:
    chance, number = random.Random(4), 0
    for done, disk in disks(recorded, chance):
        for kind in (None, "all", *[chance] * CUTS):
            number += 1
            place = tmp_path / str(number)
            disk.after_the_cut(place, chance if kind is chance else None, keep_all=kind == "all")
            results = place / "results"
            found = find_records(results)
            assert not found.unusable
            there = {record.run_id for record in found.records}
            said = {run for run, acts in recorded.acknowledged.items() if acts <= done}
            assert said <= there, recorded.acts[done - 1]
            for record in found.records:
                folder = RunFolder(results, record.run_id)
                assert folder.incomplete_file(record) is None
                for name in record.files:
                    folder.read_file(record, name)
                folder.read_metrics(record)
    assert len(recorded.acknowledged) == 3
    assert number == 5 * len(recorded.acts)


@pytest.mark.slow
@case(
    3,
    "the same, and the command is given again",
    remains="the very bytes of an undisturbed sweep",
)
def test_after_a_power_cut_the_sweep_goes_on_to_the_same_results(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    chance = random.Random(5)
    chosen = set(chance.sample(range(1, len(recorded.acts) + 1), 12))
    for done, disk in disks(recorded, chance):
        if done in chosen:
            place = tmp_path / str(done)
            disk.after_the_cut(place, chance)
            monkeypatch.setenv("CIFAR_LAB_CACHE", str(place / "cache"))
            sweep_here(recorded.file, place / "results")
            assert state_of(place / "results") == recorded.state
