from __future__ import annotations

import random
import statistics

import pytest

from benchmarks.intervals import COVERAGE, median_interval


@pytest.mark.parametrize(
    ("count", "low", "high", "coverage"),
    [
        (1, 0, 0, 0.0),
        (5, 0, 4, 1 - 2 / 32),
        (6, 0, 5, 1 - 2 / 64),
        (7, 0, 6, 1 - 2 / 128),
        (8, 0, 7, 1 - 2 / 256),
        (9, 1, 7, 1 - 2 * (1 + 9) / 512),
        (20, 5, 14, 1 - 2 * (1 + 20 + 190 + 1140 + 4845 + 15504) / 2**20),
    ],
)
def test_order_statistics(count: int, low: int, high: int, coverage: float) -> None:
    """Ranks as in tables of the sign test; of 0, 1, 2, … the number at a rank is the rank."""
    numbers = list(range(count))
    random.Random(1).shuffle(numbers)
    found = median_interval(numbers)
    assert (found.low, found.high, found.coverage) == (low, high, pytest.approx(coverage))
    assert found.median == statistics.median(numbers)


def test_it_encloses_the_true_median_as_often_as_it_says() -> None:
    draws, rounds = random.Random(2), 4_000
    hits = 0
    for _ in range(rounds):
        found = median_interval([draws.lognormvariate(0, 1) for _ in range(9)])
        hits += found.low <= 1 <= found.high
    said = median_interval(range(9)).coverage
    assert said >= COVERAGE
    assert hits / rounds == pytest.approx(said, abs=4 * (said * (1 - said) / rounds) ** 0.5)


def test_no_numbers_have_no_median() -> None:
    with pytest.raises(ValueError, match="no numbers"):
        median_interval([])
