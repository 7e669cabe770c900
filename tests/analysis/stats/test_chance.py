from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats
from statsmodels.stats.contingency_tables import mcnemar as reference

from cifar_lab.analysis.stats.chance import expected_maximum, mcnemar


def test_the_best_of_equal_points() -> None:
    """Two: 1/√π; three: 3 / (2√π)."""
    assert expected_maximum(1) == pytest.approx(0, abs=1e-12)
    assert expected_maximum(2) == pytest.approx(np.pi**-0.5, abs=1e-10)
    assert expected_maximum(3) == pytest.approx(1.5 * np.pi**-0.5, abs=1e-10)
    assert [round(expected_maximum(n), 1) for n in (10, 32, 100, 320)] == [1.5, 2.1, 2.5, 2.9]


@pytest.mark.parametrize("count", [7, 320, 10_000])
def test_is_the_integral_over_the_density_of_the_maximum(count: int) -> None:
    def weighed(x: float) -> float:
        return float(x * count * stats.norm.pdf(x) * stats.norm.cdf(x) ** (count - 1))

    assert expected_maximum(count) == pytest.approx(
        integrate.quad(weighed, -12, 12, epsabs=1e-12, limit=200)[0], abs=1e-9
    )


def test_of_nothing_there_is_no_largest() -> None:
    with pytest.raises(ValueError, match="no largest"):
        expected_maximum(0)


@pytest.mark.parametrize("table", [(50, 3, 9, 38), (0, 5, 5, 0), (6000, 1221, 1194, 1585), (1, 0, 1, 0), (10, 0, 8, 2)])
def test_mcnemar_is_statsmodels_own(table: tuple[int, int, int, int]) -> None:
    both, first, second, neither = table
    expected = reference([[both, first], [second, neither]], exact=True).pvalue
    found = mcnemar(*table)
    assert found.p == pytest.approx(expected, abs=1e-10)
    assert found.images == sum(table)
    assert found.points == pytest.approx(100 * (first - second) / sum(table))


def test_mcnemar_by_hand() -> None:
    """One of four: 2 · (1 + 4) / 16."""
    assert mcnemar(10, 1, 3, 0).p == pytest.approx(0.625)


def test_models_that_never_differ() -> None:
    assert mcnemar(7, 0, 0, 3).p == 1
    with pytest.raises(ValueError, match="no image"):
        mcnemar(0, 0, 0, 0)
