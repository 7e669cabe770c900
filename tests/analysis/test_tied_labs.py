"""Verdicts where ties occur by chance: few test images, or hardly any errors. Assurance of what is planned.

The labs are those of `benchmarks.tied_labs`. Two standard errors of a rate of 0.05 over 2,000 labs are 0.01.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from benchmarks.tied_labs import Setting, draw, false_differences, false_equivalents, verdict
from cifar_lab.analysis.stats.power import Design, power_to_show, runs_to_show, smallest_difference

LABS = 2_000
LIMIT = 0.06


def rates(setting: Setting) -> tuple[float, float]:
    rng = np.random.default_rng(setting.images + setting.seeds)
    return false_equivalents(setting, LABS, rng), false_differences(setting, LABS, rng)


@pytest.mark.parametrize(
    "setting",
    [
        Setting(100, 3, 0.0, 0.0, 0.5),
        Setting(100, 3, 0.01, 0.0, 0.5),
        Setting(100, 20, 0.0, 0.0, 1.0),
        Setting(1_000, 5, 0.0, 0.002, 0.5),
    ],
)
def test_a_saturated_test_set_is_no_proof_of_equality(setting: Setting) -> None:
    equivalent, different = rates(setting)
    assert equivalent <= LIMIT
    assert different <= LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("setting", [Setting(1_000, 5, 0.01, 0.002, 0.5), Setting(10_000, 3, 0.1, 0.002, 1.0)])
def test_false_verdicts_are_as_rare_with_errors(setting: Setting) -> None:
    equivalent, different = rates(setting)
    assert equivalent <= LIMIT
    assert different <= LIMIT


@pytest.mark.parametrize(("images", "seeds", "word"), [
    (100, 3, "undecided"), (100, 11, "undecided"), (300, 3, "undecided"), (10_000, 3, "equivalent"),
])  # fmt: skip
def test_ties_say_equivalent_only_where_the_test_set_can_tell(images: int, seeds: int, word: str) -> None:
    assert verdict(np.full((seeds, 2), 0.98), Setting(images, seeds, 0.02, 0.0, 0.0)) == word


def test_the_labs_have_the_error_rates_and_the_overlap_that_they_state() -> None:
    rng = np.random.default_rng(6)
    control, arm = draw(Setting(1_000, 4, 0.01, 0.003, 1.0), 0.003, 5_000, rng)
    assert control.mean() / 1_000 == pytest.approx(0.01, abs=2e-4)
    assert arm.mean() / 1_000 == pytest.approx(0.013, abs=2e-4)
    assert np.corrcoef(control.ravel(), arm.ravel())[0, 1] > 0.4


SPREADS = 100
"""Labs, each with an estimated spread: quantiles of its distribution around a true spread of 1 pp."""


@pytest.mark.parametrize("dof", [2, 4, 8])
@pytest.mark.parametrize("effect", [0.5, 1.0, 2.0])
def test_planned_seeds_keep_their_power_on_average_over_labs(dof: int, effect: float) -> None:
    estimates = np.sqrt(chi2.ppf((np.arange(SPREADS) + 0.5) / SPREADS, dof) / dof).tolist()
    seeds = [runs_to_show(effect, Design(std, std_dof=dof)) or 1_000 for std in estimates]
    assert 0.79 <= np.mean([power_to_show(effect, n, Design(1.0)) for n in seeds]) <= 0.88
    taken_as_known = [runs_to_show(effect, Design(std)) or 1_000 for std in estimates]
    assert np.mean([power_to_show(effect, n, Design(1.0)) for n in taken_as_known]) < 0.85


@pytest.mark.parametrize("dof", [2, 4, 8])
def test_the_smallest_difference_too(dof: int) -> None:
    estimates = np.sqrt(chi2.ppf((np.arange(400) + 0.5) / 400, dof) / dof).tolist()
    n = dof + 1
    shown = [power_to_show(smallest_difference(n, Design(std, std_dof=dof)), n, Design(1.0)) for std in estimates]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.005)
