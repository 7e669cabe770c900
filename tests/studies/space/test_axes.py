"""Ranges: how a share of an axis becomes a value, and what is drawn from one."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest

from cifar_lab.config.sheets import SweepSheet
from cifar_lab.studies.space.agreement import without_repeats
from cifar_lab.studies.space.axes import Interval, axes_of


def sheet(**parts: Any) -> SweepSheet:
    return SweepSheet.model_validate({"base": "base.yaml", **parts})


def one_axis(key: str, **stated: Any) -> Interval:
    (axis,) = axes_of(sheet(space={key: stated}))
    assert isinstance(axis, Interval)
    return axis


def test_a_range_is_of_whole_numbers_where_the_setting_takes_no_others() -> None:
    assert one_axis("data.batch_size", min=8, max=64).whole
    assert one_axis("epochs", min=1, max=9).whole
    assert not one_axis("optimizer.lr", min=1, max=10).whole
    assert not one_axis("scheduler.max_lr", min=0.1, max=1).whole
    assert one_axis("model.options.width", min=8, max=64).whole
    assert not one_axis("model.options.width", min=0.5, max=2).whole


def test_the_ends_of_a_range_are_in_it() -> None:
    last = math.nextafter(1.0, 0.0)
    lr = one_axis("optimizer.lr", min=1e-4, max=0.1, log=True)
    assert (lr.at(0.0), lr.at(last)) == ({"optimizer.lr": 1e-4}, {"optimizer.lr": 0.1})
    size = one_axis("data.batch_size", min=8, max=11)
    assert (size.at(0.0), size.at(last)) == ({"data.batch_size": 8}, {"data.batch_size": 11})


def test_each_whole_number_has_an_equal_share() -> None:
    size = one_axis("data.batch_size", min=8, max=11)
    values = Counter(size.at((step + 0.5) / 1_000)["data.batch_size"] for step in range(1_000))
    assert values == {8: 250, 9: 250, 10: 250, 11: 250}


def test_a_logarithmic_range_gives_each_power_of_ten_an_equal_share() -> None:
    lr = one_axis("optimizer.lr", min=1e-4, max=1e-1, log=True)
    powers = Counter(math.floor(math.log10(lr.at((step + 0.5) / 3_000)["optimizer.lr"])) for step in range(3_000))
    assert all(abs(count - 1_000) <= 1 for power, count in powers.items() if power < -1), powers


@pytest.mark.parametrize(
    ("stated", "share", "value"),
    [
        ({"min": 0.0, "max": 1.0}, 1 / 3, 0.3333),
        ({"min": 0.9, "max": 0.9999}, 1 / 3, 0.9333),
        ({"min": 1e-6, "max": 1e-1, "log": True}, 1 / 3, 4.642e-05),
    ],
)
def test_values_are_short_and_the_same_on_machines_that_differ_in_the_last_bit(
    stated: dict[str, Any], share: float, value: float
) -> None:
    axis = one_axis("optimizer.lr", **stated)
    assert axis.at(share)["optimizer.lr"] == pytest.approx(value, rel=1e-3)
    near = [axis.at(each)["optimizer.lr"] for each in (share, math.nextafter(share, 0), math.nextafter(share, 1))]
    assert len(set(near)) == 1
    assert len(repr(near[0])) <= 10


def test_the_axes_are_those_of_space_then_the_groups() -> None:
    found = axes_of(
        sheet(
            space={"data.flip": [False, True], "optimizer.lr": {"min": 0.1, "max": 1}},
            paired=[{"data.batch_size": [8, 16], "epochs": [1, 2]}],
            search={"method": "random", "trials": 3},
        )
    )
    assert [axis.name for axis in found] == ["data.flip", "optimizer.lr", "paired[0]"]
    assert found[2].at(0.75) == {"data.batch_size": 16, "epochs": 2}


def test_what_a_list_says_twice_is_one_option() -> None:
    options = [{"epochs": 1}, {"epochs": 1.0}, {"epochs": 2}, {"epochs": True}]
    assert without_repeats(options) == ({"epochs": 1}, {"epochs": 2}, {"epochs": True})
