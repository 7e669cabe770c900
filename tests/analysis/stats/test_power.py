from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestIndPower, TTestPower

from cifar_lab.analysis.stats.power import (
    Design,
    power_of_equivalence,
    power_to_show,
    runs_to_show,
    runs_to_tell,
    smallest_difference,
)

PAIRED, GROUPS = Design(1.0), Design(2**0.5, paired=False)
"""Spread 1 pp of pairs; two groups of a spread of 1 pp each."""


@pytest.mark.parametrize("difference", [0.1, 0.5, 1, 1.5])
@pytest.mark.parametrize("n", [3, 5, 20])
def test_power_is_statsmodels_own(difference: float, n: int) -> None:
    for alpha in (0.05, 0.01):
        paired = TTestPower().power(difference, n, alpha)
        assert power_to_show(difference, n, PAIRED, alpha) == pytest.approx(paired, abs=1e-10)
        groups = TTestIndPower().power(difference, n, alpha)
        assert power_to_show(difference, n, GROUPS, alpha) == pytest.approx(groups, abs=1e-10)


def test_seeds_an_arm_for_differences_in_units_of_the_spread() -> None:
    """The table of every handbook of power, 80 % at 5 %, two groups."""
    assert [runs_to_show(d, GROUPS) for d in (3, 2, 1.5, 1, 0.75, 0.5)] == [4, 6, 9, 17, 29, 64]


@pytest.mark.parametrize("difference", [0.2, 0.7, 1, 2.5])
def test_seeds_are_what_statsmodels_solves_for_rounded_up(difference: float) -> None:
    wanted = TTestPower().solve_power(difference, power=0.8, alpha=0.05)
    assert runs_to_show(difference, PAIRED) == max(3, int(np.ceil(wanted)))


def test_the_smallest_difference_is_the_one_that_is_shown_in_four_of_five() -> None:
    for n in (3, 5, 10, 20):
        smallest = smallest_difference(n, Design(0.2 * 2**0.5, paired=False))
        assert power_to_show(smallest, n, Design(0.2 * 2**0.5, paired=False)) == pytest.approx(0.8, abs=1e-6)
    assert smallest_difference(5, Design(0.2 * 2**0.5, paired=False)) == pytest.approx(0.41, abs=0.01)


def test_no_difference_and_no_hope() -> None:
    assert runs_to_show(0, PAIRED) is None
    assert runs_to_show(0.01, PAIRED) is None
    assert runs_to_show(100, PAIRED) == 3


def test_seeds_rise_with_the_spread_and_fall_with_the_difference() -> None:
    numbers = [runs_to_show(d, Design(s)) or 0 for s in (0.5, 1, 2) for d in (2, 1, 0.5)]
    assert numbers[:3] == sorted(numbers[:3])
    assert all(a <= b for a, b in zip(numbers[:6], numbers[3:], strict=True))


def test_power_of_equivalence_is_that_of_simulated_tests() -> None:
    rng, n, margin = np.random.default_rng(1), 12, 1.0
    draws = rng.normal(0.2, 1.0, (40_000, n))
    error, mean = draws.std(axis=1, ddof=1) / n**0.5, draws.mean(axis=1)
    shown = np.maximum(stats.t.sf((mean + margin) / error, n - 1), stats.t.cdf((mean - margin) / error, n - 1)) <= 0.05
    assert power_of_equivalence(0.2, margin, n, PAIRED) == pytest.approx(shown.mean(), abs=0.01)
    assert power_of_equivalence(0.2, margin, n, PAIRED) == power_of_equivalence(-0.2, margin, n, PAIRED)


def test_seeds_that_tell_one_way_or_the_other() -> None:
    small, large = runs_to_tell(0.02, 0.3, PAIRED), runs_to_tell(0.5, 0.3, PAIRED)
    assert large == runs_to_show(0.5, PAIRED)
    assert small is not None
    assert power_of_equivalence(0.02, 0.3, small, PAIRED) >= 0.8 > power_of_equivalence(0.02, 0.3, small - 1, PAIRED)
    assert runs_to_tell(0.0, 0.001, PAIRED) is None
