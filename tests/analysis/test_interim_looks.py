from __future__ import annotations

import pytest

from cifar_lab.analysis.interim_looks import plan_looks


@pytest.mark.parametrize(
    ("there", "most", "looks"),
    [
        (0, 20, (3, 5, 8, 12, 20)),
        (5, 20, (5, 8, 12, 20)),
        (3, 3, (3,)),
        (3, 4, (3, 4)),
        (5, 6, (5, 6)),
        (10, 30, (10, 15, 23, 30)),
        (20, 20, (20,)),
    ],
)
def test_each_look_has_about_half_as_many_seeds_again(there: int, most: int, looks: tuple[int, ...]) -> None:
    assert plan_looks(there, most) == looks


def test_looks_rise_from_what_is_there_to_the_last() -> None:
    for there in range(0, 15):
        for most in range(max(3, there), 60):
            looks = plan_looks(there, most)
            assert (looks[0], looks[-1]) == (max(3, there), most)
            assert list(looks) == sorted(set(looks))


def test_fewer_than_three_seeds_and_fewer_than_there_are_cannot_be_planned() -> None:
    with pytest.raises(ValueError, match="2 seeds at most, but the first look needs 3"):
        plan_looks(0, 2)
    with pytest.raises(ValueError, match="first look needs 9"):
        plan_looks(9, 8)
