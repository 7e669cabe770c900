from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest
from scipy import integrate, stats

from cifar_lab.analysis.stats.significance import expected_maximum, pooled_std, t_critical, t_interval

VALUES = [0.5003, 0.5271, 0.5302, 0.5244, 0.5198]


def test_the_interval_by_hand() -> None:
    """Mean 2, standard deviation 1, three values: 2 ± 4.302653 / √3."""
    low, high = t_interval([1.0, 2.0, 3.0]) or (0.0, 0.0)
    assert (low, high) == (pytest.approx(2 - 4.302652729911275 / 3**0.5), pytest.approx(2 + 4.302652729911275 / 3**0.5))


@pytest.mark.parametrize("level", [0.8, 0.95, 0.9875])
@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_interval_is_scipy_s(n: int, level: float) -> None:
    values = VALUES[:n]
    expected = stats.t.interval(level, n - 1, loc=fmean(values), scale=stats.sem(values))
    assert t_interval(values, level) == pytest.approx(expected, abs=1e-10)


def test_one_value_has_no_interval_and_equal_values_have_one_of_no_width() -> None:
    assert t_interval([]) is None
    assert t_interval([0.5]) is None
    assert t_interval([0.5, 0.5, 0.5]) == (0.5, 0.5)


def test_with_two_values_the_interval_is_nine_standard_deviations_to_each_side() -> None:
    assert t_critical(0.95, 1) / 2**0.5 == pytest.approx(8.98, abs=0.01)


def test_pooled_std_weighs_samples_by_their_degrees_of_freedom() -> None:
    first, second = [1.0, 3.0], [10.0, 11.0, 12.0, 13.0]
    expected = ((np.var(first, ddof=1) * 1 + np.var(second, ddof=1) * 3) / 4) ** 0.5
    assert pooled_std([first, second, [99.0], []]) == (pytest.approx(expected, abs=1e-12), 4)
    assert pooled_std([[1.0], []]) is None


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
