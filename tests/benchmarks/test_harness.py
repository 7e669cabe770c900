"""The harness on sides that are there at once: turns, the guard, the book."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.harness import Book, ComparisonTarget, Harness
from benchmarks.outcome import Comparison, Reading, Target, geometric_mean
from benchmarks.table import markdown
from cifar_lab.core.host import CoreUse


def comparison(target: Target = Target()) -> Comparison:  # noqa: B008
    return Comparison("speed", "images/s", "ours", "theirs", target)


def side(values: Iterator[float], name: str, turns: list[str]) -> ComparisonTarget:
    def measure() -> Reading:
        turns.append(name)
        return Reading(next(values), warm_up_seconds=2.5, peak_bytes=3 * 2**20)

    return measure


def busy(elsewhere: list[float]) -> Iterator[CoreUse]:
    """Moments, two a side; between the two of the n-th side others used `elsewhere[n]` of two cores."""
    for used in elsewhere:
        yield CoreUse(0.0, frozenset({0, 1}), 0.0, 0.0, 0.0)
        yield CoreUse(10.0, frozenset({0, 1}), 10.0 * used, 20.0, 0.0)


def quiet(elsewhere: list[float], pairs: int = 3, book: Book = Book(None)) -> Harness:  # noqa: B008
    moments = busy(elsewhere)
    return Harness(pairs, book, look=lambda: next(moments), say=lambda line: None)


def test_sides_take_turns_and_the_ratio_is_of_each_pair() -> None:
    turns: list[str] = []
    found = quiet([0.0] * 6).compare(
        comparison(), side(iter([10, 30, 80]), "A", turns), side(iter([5, 10, 20]), "B", turns)
    )
    assert turns == ["A", "B", "A", "B", "A", "B"]
    assert [pair.ratio for pair in found.pairs] == [2, 3, 4]
    assert (found.interval.median, found.interval.low, found.interval.high) == (3, 2, 4)


def test_a_pair_that_others_disturbed_is_made_again() -> None:
    turns: list[str] = []
    found = quiet([0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.02, 0.09]).compare(
        comparison(), side(iter([1, 99, 2, 3]), "A", turns), side(iter([1, 1, 1, 1]), "B", turns)
    )
    assert [pair.ratio for pair in found.pairs] == [1, 2, 3]
    assert found.discarded == 1
    assert found.pairs[-1].elsewhere_cores == pytest.approx(0.09)


def test_a_machine_that_is_never_quiet_ends_it() -> None:
    harness = quiet([1.0] * 100)
    harness.most_discarded = 4
    found = harness.compare(comparison(), side(iter(range(1, 99)), "A", []), side(iter(range(1, 99)), "B", []))
    assert (found.pairs, found.discarded) == ([], 4)
    assert "no quiet pair of 4" in found.line()


def test_pairs_that_are_in_the_book_are_not_measured_again(tmp_path: Path) -> None:
    book = Book(tmp_path / "deep" / "speed-cpu.json")
    book.add(machine={"cores": 2})
    first = quiet([0.0] * 4, 2, book).compare(comparison(), side(iter([4, 6]), "A", []), side(iter([2, 2]), "B", []))
    turns: list[str] = []
    second = quiet([0.0] * 2, 3, book).compare(comparison(), side(iter([8]), "A", turns), side(iter([2]), "B", turns))
    assert turns == ["A", "B"]
    assert second.pairs[:2] == first.pairs
    assert [pair.ratio for pair in second.pairs] == [2, 3, 4]
    assert book.get("machine") == {"cores": 2}
    other = Comparison("speed", "images/s", "ours on 2 threads", "theirs")
    assert book.known(other).pairs == []


def test_the_worse_end_of_the_interval_decides() -> None:
    turns: list[str] = []
    sides = side(iter([2.9, 3.1, 3.2]), "A", turns), side(iter([1, 1, 1]), "B", turns)
    found = quiet([0.0] * 6).compare(comparison(Target(least=3)), *sides)
    assert found.document()["summary"]["reached"] is False
    assert Target(least=2.9).reached(found.interval)
    assert Target(most=3.2).reached(found.interval)
    assert not Target(most=3.1).reached(found.interval)


def test_the_geometric_mean_is_taken_pair_by_pair() -> None:
    parts = []
    for values in ([2.0, 8.0], [8.0, 8.0]):
        sides = side(iter(values), "A", []), side(iter([1.0, 4.0]), "B", [])
        parts.append(quiet([0.0] * 4, 2).compare(comparison(), *sides))
    mean = geometric_mean("mean", parts, Target())
    assert [pair.ratio for pair in mean.pairs] == pytest.approx([4, 2])


def test_the_table_shows_warm_up_and_memory_and_leaves_quick_looks_out(tmp_path: Path) -> None:
    for name, is_quick in (("a", False), ("b", True)):
        book = Book(tmp_path / f"{name}.json")
        book.add(quick=is_quick)
        sides = side(iter([4, 6]), "A", []), side(iter([2, 2]), "B", [])
        quiet([0.0] * 4, 2, book).compare(comparison(Target(least=1.5)), *sides)
    (line,) = markdown(tmp_path).splitlines()[2:]
    assert line == (
        "| speed | 5 images/s, 3 MiB, warm-up 2.5 s | 2 images/s, 3 MiB, warm-up 2.5 s | 2.5 "
        "| 2 to 3 (50.0%, n = 2) | ≥ 1.5 | yes |"
    )
