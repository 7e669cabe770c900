from __future__ import annotations

import itertools
from statistics import fmean, stdev

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.weightstats import ttost_ind, ttost_paired

from cifar_lab.analysis.stats.t_tests import Difference, compare, sign_flip_p

OURS = {0: 0.6281, 1: 0.6364, 2: 0.6229, 3: 0.6130, 4: 0.6286}
THEIRS = {0: 0.6352, 1: 0.6330, 2: 0.6210, 3: 0.6060, 4: 0.6254}
APART = {10: 0.61, 11: 0.64, 12: 0.60, 13: 0.655}


def found(ours: dict[int, float], theirs: dict[int, float]) -> Difference:
    difference = compare(ours, theirs)
    assert difference is not None
    return difference


def test_paired_by_hand() -> None:
    """Differences 1, 2, 3: mean 2, standard deviation 1, t = 2√3 with two degrees of freedom."""
    difference = found({7: 2.0, 8: 4.0, 9: 6.0}, {9: 3.0, 8: 2.0, 7: 1.0})
    assert (difference.method, difference.seeds, difference.differences) == ("paired", (7, 8, 9), (1.0, 2.0, 3.0))
    assert (difference.mean, difference.std, difference.dof) == (2.0, 1.0, 2)
    assert difference.effect_size == 2.0
    assert difference.p_value() == pytest.approx(0.07417990022744862, abs=1e-10)
    assert (difference.win_rate, difference.ties) == (1.0, 0)


def test_paired_numbers_are_those_of_scipy_and_statsmodels() -> None:
    difference, ours, theirs = found(OURS, THEIRS), list(OURS.values()), list(THEIRS.values())
    test = stats.ttest_rel(ours, theirs)
    assert difference.p_value() == pytest.approx(test.pvalue, abs=1e-10)
    for level in (0.9, 0.95, 0.9875):
        assert difference.confidence_interval(level) == pytest.approx(tuple(test.confidence_interval(level)), abs=1e-10)
    for margin in (0.001, 0.003, 0.01):
        expected = ttost_paired(np.array(ours), np.array(theirs), -margin, margin)[0]
        assert difference.equivalence_p(margin) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("theirs", [APART, dict(itertools.islice(APART.items(), 2))])
def test_welch_numbers_are_those_of_scipy_and_statsmodels(theirs: dict[int, float]) -> None:
    difference, ours, others = found(OURS, theirs), list(OURS.values()), list(theirs.values())
    test = stats.ttest_ind(ours, others, equal_var=False)
    assert (difference.method, difference.n, difference.n_other) == ("welch", 5, len(theirs))
    assert difference.p_value() == pytest.approx(test.pvalue, abs=1e-10)
    assert difference.dof == pytest.approx(test.df, abs=1e-10)
    assert difference.confidence_interval(0.95) == pytest.approx(tuple(test.confidence_interval(0.95)), abs=1e-10)
    expected = ttost_ind(np.array(ours), np.array(others), -0.02, 0.02, usevar="unequal")[0]
    assert difference.equivalence_p(0.02) == pytest.approx(expected, abs=1e-10)
    wins = stats.mannwhitneyu(ours, others).statistic / (len(ours) * len(others))
    assert difference.win_rate == pytest.approx(wins)


def test_sign_flips_are_scipy_s_exact_permutation_test() -> None:
    each = [a - b for a, b in zip(OURS.values(), THEIRS.values(), strict=True)]
    expected = stats.permutation_test(
        (list(OURS.values()), list(THEIRS.values())), lambda x, y: np.mean(x - y), permutation_type="samples"
    ).pvalue
    assert found(OURS, THEIRS).sign_flip_p() == pytest.approx(expected, abs=1e-10)
    by_hand = [
        abs(sum(s * gap for s, gap in zip(signs, each, strict=True))) for signs in itertools.product((1, -1), repeat=5)
    ]
    assert sign_flip_p(each) == pytest.approx(fmean(total >= abs(sum(each)) - 1e-9 for total in by_hand))


@pytest.mark.parametrize(("n", "least"), [(3, 0.25), (4, 0.125), (5, 0.0625), (6, 0.03125), (12, 2**-11)])
def test_the_smallest_p_of_sign_flips(n: int, least: float) -> None:
    assert found({k: k + 1.0 for k in range(n)}, dict.fromkeys(range(n), 0.0)).sign_flip_p() == least


def test_beyond_twelve_pairs_signs_are_not_flipped() -> None:
    assert found({k: k + 1.0 for k in range(13)}, dict.fromkeys(range(13), 0.0)).sign_flip_p() is None


def test_seeds_that_only_one_has_are_left_out_of_pairs() -> None:
    difference = found({**OURS, 50: 0.9}, {**THEIRS, 60: 0.1})
    assert difference == found(OURS, THEIRS)


def test_two_shared_seeds_of_more_are_no_pairs() -> None:
    difference = found({0: 0.5, 1: 0.6, 2: 0.7}, {1: 0.4, 2: 0.5, 3: 0.6, 4: 0.7})
    assert (difference.method, difference.n, difference.n_other, difference.seeds) == ("welch", 3, 4, (1, 2))


def test_all_seeds_of_the_smaller_group_are_pairs() -> None:
    difference = found({1: 0.5, 2: 0.6}, {1: 0.4, 2: 0.5, 3: 0.6, 4: 0.7})
    assert (difference.method, difference.n, difference.dof) == ("paired", 2, 1)


def test_single_runs_have_a_difference_and_nothing_to_measure_it_with() -> None:
    for theirs in ({0: 0.4}, {1: 0.4}, {1: 0.3, 2: 0.5}):
        difference = found({0: 0.5}, theirs)
        assert difference.method == "none"
        assert difference.mean == pytest.approx(0.1)
        assert difference.confidence_interval(0.95) is None
        assert (difference.p_value(), difference.equivalence_p(1)) == (None, None)
    assert compare({}, {0: 0.4}) is None
    assert compare({0: 0.4}, {}) is None


def test_runs_equal_to_the_last_bit() -> None:
    difference = found(OURS, OURS)
    assert (difference.mean, difference.std, difference.win_rate, difference.ties) == (0, 0, 0.5, 5)
    assert (difference.p_value(), difference.sign_flip_p(), difference.equivalence_p(0.003)) == (1, 1, None)
    assert difference.confidence_interval(0.95) is None


def test_the_same_difference_in_every_seed_is_judged_by_its_signs() -> None:
    """Spread of rounding only: 0.1 + 0.2 is not 0.3 in binary."""
    theirs = {k: 0.1 * k for k in range(6)}
    difference = found({k: value + 0.2 for k, value in theirs.items()}, theirs)
    assert stdev(difference.differences) > 0
    assert not difference.has_variance
    assert difference.p_value() == 2**-5 == difference.sign_flip_p()
    assert (difference.equivalence_p(0.3), difference.equivalence_p(0.1)) == (None, None)
    assert difference.effect_size is None


@pytest.mark.parametrize("values", [OURS, dict.fromkeys(range(5), 0.99)])
def test_ties_are_judged_by_the_resolution_of_the_test_images(values: dict[int, float]) -> None:
    """By hand: variance margin / images of counting, and margin⁴ / (margin + errors)² of their skewness."""
    errors, margin = 1 - fmean(values.values()), 0.003
    for images in (100, 1_000, 10_000):
        difference = compare(values, values, images)
        assert difference is not None
        std = (margin / images + margin**4 / (margin + errors) ** 2) ** 0.5
        assert difference.equivalence_std(margin) == pytest.approx(std)
        assert difference.equivalence_p(margin) == pytest.approx(stats.t.sf(margin / (std / 5**0.5), 4))
        assert (difference.p_value(), difference.confidence_interval(0.95)) == (1, None)
        assert difference.is_resolution_limited


def test_one_gap_in_every_seed_varies_as_a_count_of_images() -> None:
    """Two of 100 images in each of six seeds: 12 discordant images of 12, so z = 12 / √12 (McNemar)."""
    difference = compare(dict.fromkeys(range(6), 0.52), dict.fromkeys(range(6), 0.5), 100)
    assert difference is not None
    error = (0.02 / 100 / 6) ** 0.5
    assert 0.02 / error == pytest.approx(12**0.5)
    assert difference.p_value() == pytest.approx(2 * stats.norm.sf(12**0.5))
    low, high = difference.confidence_interval(0.95) or (0, 0)
    assert (high - low) / 2 == pytest.approx(stats.norm.ppf(0.975) * error)


def test_a_spread_above_the_resolution_is_taken_as_it_is() -> None:
    plain, resolved = compare(OURS, THEIRS), compare(OURS, THEIRS, 10_000)
    assert plain is not None
    assert resolved is not None
    assert not resolved.is_resolution_limited
    assert resolved.p_value() == plain.p_value()
    assert resolved.confidence_interval(0.95) == plain.confidence_interval(0.95)


def test_two_groups_without_any_spread_say_nothing() -> None:
    difference = found(dict.fromkeys(range(3), 0.5), dict.fromkeys(range(5, 9), 0.4))
    assert (difference.method, difference.p_value(), difference.confidence_interval(0.95)) == ("welch", None, None)
    assert found(dict.fromkeys(range(3), 0.5), dict.fromkeys(range(5, 9), 0.5)).p_value() == 1


def test_one_group_without_spread_is_welch_all_the_same() -> None:
    ours, theirs = [0.5, 0.5, 0.5], [0.4, 0.45, 0.5]
    difference = found(dict(enumerate(ours)), dict(enumerate(theirs, 10)))
    assert difference.dof == pytest.approx(2)
    assert difference.p_value() == pytest.approx(2 * stats.t.sf(0.05 / (0.0025 / 3) ** 0.5, 2), abs=1e-10)


def test_nothing_hangs_on_the_order_of_runs_or_on_the_unit() -> None:
    backwards = found(dict(reversed(OURS.items())), dict(reversed(THEIRS.items())))
    assert backwards == found(OURS, THEIRS)
    percent = found({k: 100 * v for k, v in OURS.items()}, {k: 100 * v for k, v in THEIRS.items()})
    plain = found(OURS, THEIRS)
    assert percent.p_value() == pytest.approx(plain.p_value(), abs=1e-10)
    assert percent.effect_size == pytest.approx(plain.effect_size)
    assert percent.equivalence_p(0.3) == pytest.approx(plain.equivalence_p(0.003), abs=1e-10)
    other_way = found(THEIRS, OURS)
    assert other_way.p_value() == pytest.approx(plain.p_value(), abs=1e-12)
    assert other_way.mean == pytest.approx(-plain.mean)
    assert other_way.win_rate == pytest.approx(1 - plain.win_rate)
