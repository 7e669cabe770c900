from __future__ import annotations

import gc
import random

import pytest
from statsmodels.stats.multitest import multipletests

from cifar_lab.analysis.stats.significance import holm


def adjusted(p_values: list[float | None]) -> list[float | None]:
    return [None if each is None else each.p for each in holm(p_values)]


def test_by_hand() -> None:
    """0.01·3, 0.02·2, 0.04·1, in their order."""
    assert adjusted([0.04, 0.01, 0.02]) == [pytest.approx(0.04), pytest.approx(0.03), pytest.approx(0.04)]
    assert [each.divisor for each in holm([0.04, 0.01, 0.02]) if each] == [1, 3, 2]


def test_is_statsmodels_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc, "collect", lambda: 0)  # multipletests does it at each call, half a second beside torch
    rng = random.Random(1979)
    for _ in range(50):
        p_values: list[float | None] = [rng.random() ** 3 for _ in range(rng.randint(1, 20))]
        assert adjusted(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]), abs=1e-10)


def test_is_monotone_never_below_the_p_itself_and_never_above_one() -> None:
    rng = random.Random(3)
    for _ in range(50):
        p_values: list[float | None] = [round(rng.random(), 2) for _ in range(12)]
        pairs = sorted(zip(p_values, adjusted(p_values), strict=True))  # type: ignore[type-var]
        after = [each for _, each in pairs]
        assert after == sorted(after)  # type: ignore[type-var]
        assert all(p <= q <= 1 for p, q in pairs)  # type: ignore[operator]


def test_equal_p_values_are_equal_after_it() -> None:
    assert len(set(adjusted([0.02, 0.02, 0.02]))) == 1


def test_what_has_no_p_is_counted_in_nothing() -> None:
    assert adjusted([None, 0.02, None, 0.01]) == [None, pytest.approx(0.02), None, pytest.approx(0.02)]
    assert adjusted([]) == []


def test_the_order_of_comparisons_does_not_matter() -> None:
    p_values: list[float | None] = [0.3, 0.001, 0.02, 0.02, 0.5]
    assert adjusted(p_values[::-1]) == adjusted(p_values)[::-1]
