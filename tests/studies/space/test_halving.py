"""Successive halving: at which epochs points are compared, and how many go on."""

from __future__ import annotations

from typing import Any

import pytest

from cifar_lab.config.sheets import Halving
from cifar_lab.core.errors import SettingsError
from cifar_lab.studies.space.halving import halving_problem, kept_points, rung_epochs, rung_sizes


@pytest.mark.parametrize(
    ("epochs", "eta", "rungs", "expected"),
    [
        (27, 3, 4, [1, 3, 9, 27]),
        (10, 3, 3, [1, 3, 10]),
        (10, 2, 3, [2, 5, 10]),
        (4, 2, 3, [1, 2, 4]),
        (7, 4, 2, [1, 7]),
    ],
)
def test_rungs_end_at_the_last_epoch(epochs: int, eta: int, rungs: int, expected: list[int]) -> None:
    assert rung_epochs(epochs, Halving(eta=eta, rungs=rungs)) == expected


def test_one_in_eta_goes_on_but_never_fewer_than_the_winners() -> None:
    halving = Halving(eta=3, rungs=4)
    assert list(rung_sizes(27, halving, 1)) == [27, 9, 3, 1]
    assert list(rung_sizes(28, halving, 1)) == [28, 10, 4, 2]
    assert list(rung_sizes(27, halving, 5)) == [27, 9, 5, 5]
    assert list(rung_sizes(3, halving, 5)) == [3, 3, 3, 3]
    assert kept_points(320, halving, 5) == 107


@pytest.mark.parametrize(
    ("epochs", "eta", "rungs", "problem"),
    [
        (9, 3, 3, ""),
        (8, 3, 3, "8 epochs are too few for 3 rungs that grow 3 times; take at most 2, or a smaller eta"),
        (1, 2, 2, "1 epoch is too few for 2 rungs that grow 2 times; train for more, or a smaller eta"),
    ],
)
def test_too_few_epochs(epochs: int, eta: int, rungs: int, problem: str) -> None:
    assert halving_problem(epochs, Halving(eta=eta, rungs=rungs)) == problem


def test_a_sweep_whose_base_cannot_be_halved_is_refused(points: Any) -> None:
    with pytest.raises(SettingsError) as refused:
        points(space={"data.flip": [False, True]}, search={"halving": {"eta": 4, "rungs": 3}})
    assert str(refused.value) == (
        "sweep.yaml: search.halving: 9 epochs are too few for 3 rungs that grow 4 times; take at most 2, "
        "or a smaller eta"
    )
