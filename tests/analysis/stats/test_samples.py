from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest
from scipy import stats

from cifar_lab.analysis.stats.samples import pooled_spread, t_interval, t_quantile

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
    assert t_quantile(0.95, 1) / 2**0.5 == pytest.approx(8.98, abs=0.01)


def test_pooled_spread_weighs_samples_by_their_degrees_of_freedom() -> None:
    first, second = [1.0, 3.0], [10.0, 11.0, 12.0, 13.0]
    expected = ((np.var(first, ddof=1) * 1 + np.var(second, ddof=1) * 3) / 4) ** 0.5
    assert pooled_spread([first, second, [99.0], []]) == (pytest.approx(expected, abs=1e-12), 4)
    assert pooled_spread([[1.0], []]) is None
