from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from cifar_lab.core.checksums import seal_record
from cifar_lab.core.errors import DataError
from cifar_lab.store.looks import (
    LookBook,
    PairLooks,
    PastLook,
    PlannedLooks,
    find_looks,
    looks_files,
    looks_lock,
    read_look_book,
    save_looks,
)
from cifar_lab.store.results import run_ids
from cifar_lab.store.verify import verify_results

IMAGES = "f" * 64


def look(*runs: str, alpha: float = 0.03) -> PastLook:
    return PastLook(runs=dict.fromkeys(runs, 0.5), seeds=len(runs) // 2, alpha=alpha, made="2026-11-27T12:00:00Z")


def book_of(*looks: PastLook, arms: tuple[str, str] = ("a", "b")) -> LookBook:
    return LookBook().with_pair(PairLooks(fingerprint=IMAGES, arms=arms, looks=looks))


def test_both_copies_hold_what_was_saved_under_a_checksum(tmp_path: Path) -> None:
    book = book_of(look("1", "2"))
    save_looks(tmp_path, book)
    for path in looks_files(tmp_path):
        assert read_look_book(path) == book
        assert list(json.loads(path.read_bytes()))[-1] == "sha256"
    assert find_looks(tmp_path).book == book
    assert find_looks(tmp_path).faults == ()
    assert run_ids(tmp_path) == []
    assert not verify_results(tmp_path).damage


def test_a_pair_is_the_same_in_either_order_and_another_on_other_images() -> None:
    book = book_of(look("1", "2"))
    assert len(book.pair(IMAGES, "b", "a").looks) == len(book.pair(IMAGES, "a", "b").looks) == 1
    assert book.pair("0" * 64, "a", "b").looks == ()
    assert book.pair(IMAGES, "a", "c").looks == ()


def test_a_look_is_found_again_by_exactly_its_runs_and_accuracies() -> None:
    pair = book_of(look("1", "2", "3", "4"), look("1", "2")).pairs[0]
    assert pair.at({"2": 0.5, "1": 0.5}) == 1
    assert pair.at({"1": 0.5, "2": 0.5, "3": 0.5}) is None
    assert pair.at({"1": 0.5, "2": 0.4}) is None


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("damage", ["removed", "cut", "emptied", "flipped", "folder", "link", "no checksum"])
def test_one_copy_is_enough_and_the_fault_is_named(tmp_path: Path, which: int, damage: str) -> None:
    book = book_of(look("1", "2"))
    save_looks(tmp_path, book)
    path = looks_files(tmp_path)[which]
    spoil(path, damage)
    found = find_looks(tmp_path)
    assert (found.book, found.is_lost) == (book, False)
    (fault,) = found.faults
    assert fault.startswith(f"{path}: is {'missing' if damage == 'removed' else 'damaged'}; its copy ")
    save_looks(tmp_path, book)
    assert find_looks(tmp_path).faults == ()


@pytest.mark.parametrize("damage", ["cut", "emptied", "flipped", "folder", "no checksum"])
def test_looks_without_a_readable_copy_are_lost_and_not_none(tmp_path: Path, damage: str) -> None:
    save_looks(tmp_path, book_of(look("1", "2")))
    for path in looks_files(tmp_path):
        spoil(path, damage)
    found = find_looks(tmp_path)
    assert found.is_lost
    assert "no verdict is given without the earlier looks" in found.faults[-1]
    for path in looks_files(tmp_path):
        path.rename(path.with_name(f"{path.name}.damaged"))
    assert find_looks(tmp_path).is_lost


def spoil(path: Path, damage: str) -> None:
    content = path.read_bytes()
    if damage in ("removed", "folder", "link"):
        path.unlink()
    if damage == "link":
        path.symlink_to(path.with_name("elsewhere.json"))
    if damage == "folder":
        path.mkdir()
    elif damage not in ("removed", "link"):
        spoilt = {
            "cut": content[: len(content) // 2],
            "emptied": b"",
            "flipped": content.replace(b"0.03", b"0.02"),
            "no checksum": json.dumps({"schema": 1, "pairs": []}).encode(),
        }
        path.write_bytes(spoilt[damage])


@pytest.mark.parametrize("damage", ["removed", "cut", "folder", "link"])
def test_verify_replaces_one_copy_by_the_other(tmp_path: Path, damage: str) -> None:
    book = book_of(look("1", "2"))
    save_looks(tmp_path, book)
    first, second = looks_files(tmp_path)
    spoil(second, damage)
    (line,) = verify_results(tmp_path).damage
    assert line.startswith(f"{second}: is {'missing' if damage == 'removed' else 'damaged; set aside as'}")
    assert line.endswith(f"written again from {first}")
    assert read_look_book(second) == book
    assert verify_results(tmp_path).damage == ()


def test_verify_of_two_damaged_copies_leaves_the_looks_lost(tmp_path: Path) -> None:
    save_looks(tmp_path, book_of(look("1", "2")))
    for path in looks_files(tmp_path):
        spoil(path, "cut")
    assert len(verify_results(tmp_path).damage) == 2
    assert find_looks(tmp_path).is_lost


def test_copies_that_differ_are_counted_together(tmp_path: Path) -> None:
    first, second = looks_files(tmp_path)
    save_looks(tmp_path, book_of(look("1", "2"), look("1", "2", "3", "4", alpha=0.01)))
    second.write_bytes(seal_record(book_of(look("5", "6")).model_dump_json(indent=1)))
    found = find_looks(tmp_path)
    assert [len(each.runs) for each in found.book.pairs[0].looks] == [2, 4, 2]
    assert found.faults == (f"{first} and {second}: differ; both are counted",)


def test_plans_of_both_copies_are_kept(tmp_path: Path) -> None:
    plan = PlannedLooks(name="q1", seeds=(5, 8), alpha=0.01)
    planned = LookBook().with_pair(PairLooks(fingerprint=IMAGES, arms=("a", "b"), plans=(plan,)))
    save_looks(tmp_path, planned)
    looks_files(tmp_path)[1].write_bytes(seal_record(book_of(look("5", "6")).model_dump_json(indent=1)))
    (pair,) = find_looks(tmp_path).book.pairs
    assert (pair.plans, len(pair.looks)) == ((plan,), 1)


def test_a_file_of_a_newer_version_is_refused_by_name_and_kept(tmp_path: Path) -> None:
    newer = seal_record(LookBook().model_copy(update={"schema_": 9}).model_dump_json(indent=1))
    save_looks(tmp_path, LookBook())
    for path in looks_files(tmp_path):
        path.write_bytes(newer)
    with pytest.raises(DataError, match="schema 9, this cifar-lab reads up to 1; install a newer cifar-lab"):
        read_look_book(looks_files(tmp_path)[0])
    assert find_looks(tmp_path).is_lost
    with pytest.raises(DataError, match="schema 9"):
        save_looks(tmp_path, LookBook())
    assert looks_files(tmp_path)[0].read_bytes() == newer


def test_a_folder_without_looks_has_none(tmp_path: Path) -> None:
    found = find_looks(tmp_path / "nothing")
    assert (found.book, found.faults, found.is_lost) == (LookBook(), (), False)


def test_reports_at_once_lose_no_look(tmp_path: Path) -> None:
    def add(number: int) -> None:
        with looks_lock(tmp_path):
            book = find_looks(tmp_path).book
            pair = book.pair(IMAGES, "a", "b")
            more = pair.model_copy(update={"looks": (*pair.looks, look(f"{number}", f"{number}b"))})
            save_looks(tmp_path, book.with_pair(more))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(find_looks(tmp_path).book.pairs[0].looks) == 8
    assert not (tmp_path / ".looks").exists()
