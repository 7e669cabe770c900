"""False verdicts on robustness under equal arms, from outcomes per image of PGD on 20 networks of one arm.

The outcomes are of Net with Adam after two epochs on real images, at 0.5/255, 1/255 and 2/255 on 1,000 test images.
Two standard errors of a rate of 0.03 over 2,000 labs are 0.008.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.robust_labs import Outcomes, load, rates

LABS = 2_000


@pytest.fixture(scope="module")
def outcomes() -> Outcomes:
    return load(Path(__file__).with_name("attack_outcomes.npz"))


def test_the_outcomes_are_those_of_real_attacks(outcomes: Outcomes) -> None:
    assert outcomes.shape == (20, 4, 1000)
    means = outcomes.mean(axis=(0, 2))
    assert list(means) == sorted(means, reverse=True)
    assert 0.4 < means[0] < 0.6
    agreement = np.corrcoef(outcomes[:, 3].astype(float))
    assert agreement[np.triu_indices(20, 1)].min() > 0.2  # the same images are hard for all networks


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_false_verdicts_on_robustness_are_rare(outcomes: Outcomes, seeds: int) -> None:
    found = rates(outcomes, seeds, LABS, np.random.default_rng(seeds))
    assert 0.025 <= found.single <= 0.055
    assert found.family <= 0.06
