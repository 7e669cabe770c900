"""`rm` and `gc` that are killed at every act on the disk, and files that are not theirs."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cifar_lab.core import atomic_io
from cifar_lab.core.checksums import seal_checkpoint
from cifar_lab.core.errors import LabError, SettingsError
from cifar_lab.store import leftovers
from cifar_lab.store.leftovers import delete_leftovers, find_leftovers
from cifar_lab.store.locks import HeldError
from cifar_lab.store.looks import LookBook, PairLooks, PastLook, save_looks
from cifar_lab.store.removal import Removal, marked, remove_runs, taken_away
from cifar_lab.store.results import RunFolder, find_records
from cifar_lab.store.verify import verify_results

from ..record_fixtures import record
from .forks import in_fork
from .registry import Case, case

MOST_ACTS = 80


def make_results(folder: Path) -> tuple[Path, list[Removal]]:
    """Two finished runs, the first of which a look has counted, with files of others beside them."""
    results = folder / "results"
    removals = []
    for seed, counted in ((0, True), (1, False)):
        made = record(0.5, seed)
        run = RunFolder(results, made.run_id)
        run.path.mkdir(parents=True)
        run.settings.write_text("epochs: 1\n")
        run.checkpoint.write_bytes(seal_checkpoint(made.run_id, b"old"))
        (run.path / ".record.json.77.tmp").write_bytes(b"half")
        run.write_record(made)
        removals.append(Removal(run, made.label, seed, made, 1, counted))
    look = PastLook(runs={removals[0].run_id: 0.5}, seeds=1, alpha=0.03, made="2026-11-27T12:00:00Z")
    save_looks(results, LookBook().with_pair(PairLooks(fingerprint="f", arms=("a", "b"), looks=(look,))))
    (results / "mine.txt").write_text("mine")
    (results / ".notes.77.tmp").write_text("mine")
    os.utime(results / ".notes.77.tmp", (0, 0))
    return results, removals


def killed_at(number: int, action: Callable[[], object]) -> int:
    """Exit code of the action in a fork that is killed before its act of this number."""

    def counted() -> None:
        atomic_io._acts = itertools.count(1)
        os.environ[atomic_io.CRASH_AT] = str(number)
        action()

    return in_fork(counted)[0]


@case(
    2,
    "`rm` killed before any act on the disk",
    remains="each run whole, or gone and, where a look has counted it, its mark; `gc` deletes what is left of it",
)
@pytest.mark.slow
def test_a_removal_that_is_killed_leaves_the_run_or_its_mark(tmp_path: Path) -> None:
    for number in range(1, MOST_ACTS):
        results, removals = make_results(tmp_path / str(number))
        code = killed_at(number, lambda results=results, removals=removals: remove_runs(results, removals))
        there = {each.run_id for each in find_records(results).records}
        marks = set(marked(results, [each.run_id for each in removals]))
        assert removals[0].run_id in there | marks, number
        assert removals[1].run_id not in marks, number
        assert {path.name for path in (results / "runs").iterdir()} == there, number
        assert not verify_results(results).damage, number
        delete_leftovers(results, find_leftovers(results))
        assert taken_away(results) == []
        remove_runs(results, [each for each in removals if each.run_id in there])
        assert list((results / "runs").iterdir()) == []
        assert (results / "mine.txt").read_text() == (results / ".notes.77.tmp").read_text() == "mine"
        if code == 0:
            assert number > 20
            return
    raise AssertionError("the removal has more acts than the test looks at")


@case(2, "`gc` killed before any act on the disk", remains="every run, and the files that were not deleted yet")
def test_a_collection_that_is_killed_costs_no_run(tmp_path: Path) -> None:
    for number in range(1, MOST_ACTS):
        results, removals = make_results(tmp_path / str(number))
        code = killed_at(number, lambda results=results: delete_leftovers(results, find_leftovers(results)))
        assert len(find_records(results).records) == len(removals)
        assert (results / ".notes.77.tmp").read_text() == "mine"
        assert not verify_results(results).damage
        if code == 0:
            assert not any(each.folder.checkpoint.exists() for each in removals)
            assert find_leftovers(results).found == []
            return
    raise AssertionError("the collection has more acts than the test looks at")


@pytest.mark.parametrize("kind", ["file", "folder", "link", "link of a known name", "folder of a known name"])
def test_a_folder_with_a_file_of_another_program_is_refused_whole(tmp_path: Path, kind: str) -> None:
    results, removals = make_results(tmp_path)
    other = removals[1].folder.path / ("failure.json" if "known" in kind else "notes.txt")
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    if "link" in kind:
        other.symlink_to(outside)
    elif "folder" in kind:
        other.mkdir()
    else:
        other.write_text("mine")
    with pytest.raises(SettingsError, match="cifar-lab did not write it"):
        remove_runs(results, removals)
    assert len(find_records(results).records) == 2
    assert os.path.lexists(other)
    assert outside.read_text() == "mine"


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    results, removals = make_results(tmp_path)
    folder = removals[1].folder.path
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LabError):
        remove_runs(results, removals)
    assert (tmp_path / "elsewhere" / "record.json").exists()
    assert removals[0].folder.record.exists()


@case(
    20,
    "`rm` of a run that another command holds",
    remains="every run",
    says="{path}: held by {holder}; wait for it, or end it, then run the same command again",
    code=4,
)
def test_a_held_run_is_refused_and_no_other_is_removed(tmp_path: Path, case: Case) -> None:
    results, removals = make_results(tmp_path)
    with removals[1].folder.lock():
        with pytest.raises(HeldError) as error:
            remove_runs(results, removals)
        case.check(str(error.value), error.value.exit_code)
        assert [each.path.parent.name for each in find_leftovers(results).found] == [removals[0].run_id]
    assert len(find_records(results).records) == 2


def test_a_run_made_again_after_its_removal_keeps_its_lock(tmp_path: Path) -> None:
    _, removals = make_results(tmp_path)
    folder = removals[0].folder
    with folder.lock():
        folder.path.rename(tmp_path / "taken")
        folder.path.mkdir()
        with folder.lock():
            pass
        folder.lock_file.write_text("of another process")
    assert folder.lock_file.exists()


def test_a_checkpoint_of_a_run_that_is_not_done_is_kept(tmp_path: Path) -> None:
    results, removals = make_results(tmp_path)
    removals[0].folder.record.unlink()
    damaged = removals[1].folder
    damaged.record.write_text(damaged.record.read_text().replace("0.5", "0.6"))
    assert {each.kind for each in find_leftovers(results).found} == {"temporary file"}
    delete_leftovers(results, find_leftovers(results))
    assert removals[0].folder.checkpoint.exists()
    assert damaged.checkpoint.exists()


def test_a_temporary_file_that_disappears_during_the_look_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, _ = make_results(tmp_path)
    is_regular = leftovers.is_regular

    def look_and_lose(path: Path) -> bool:
        found = is_regular(path)
        path.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(leftovers, "is_regular", look_and_lose)
    assert {each.size for each in find_leftovers(results).found} == {0}
