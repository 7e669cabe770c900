"""Scales of a search's settings: logarithmic where the values are, whole ticks, equal steps for words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from cifar_lab.analysis.search_points import SearchedPoint, axes_of
from cifar_lab.report.charts.search import AxisScale, axis_scale, effect_chart, parallel_chart


def points(values: Sequence[Any]) -> list[SearchedPoint]:
    return [SearchedPoint(f"point {k}", {"x": value}, 50.0 + k, 1, 0) for k, value in enumerate(values)]


def scale(values: Sequence[Any]) -> AxisScale:
    made = points(values)
    return axis_scale(axes_of(made)[0], made)


def test_a_log_range_has_a_log_scale_with_round_ticks() -> None:
    found = scale([10 ** (-4 + 0.3 * k) for k in range(11)])
    assert found.is_log
    assert [words for _, words in found.ticks] == ["0.0001", "0.001", "0.01", "0.1"]
    assert [place for place, _ in found.ticks] == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_a_grid_of_powers_has_equal_steps() -> None:
    found = scale([8, 16, 32, 64, 128])
    assert found.is_log
    assert list(found.places.values()) == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_an_even_range_has_a_linear_scale() -> None:
    found = scale([0.5 + 0.049 * k for k in range(11)])
    assert not found.is_log
    assert [words for _, words in found.ticks] == ["0.5", "0.6", "0.7", "0.8", "0.9"]


@pytest.mark.parametrize("values", [[0, 1, 2, 4], [-1.0, 0.5, 1.0], [1, 2]])
def test_zero_and_negative_numbers_are_on_a_linear_scale(values: list[float]) -> None:
    found = scale(values)
    assert not found.is_log
    assert (min(found.places.values()), max(found.places.values())) == (0, 1)


def test_words_have_equal_steps_in_the_order_of_the_plan() -> None:
    found = scale(["sgd", "adam", "adamw"])
    assert found.ticks == ((0.0, "sgd"), (0.5, "adam"), (1.0, "adamw"))


def test_ticks_that_would_touch_are_left_out() -> None:
    assert [words for _, words in scale([1, 2, 100, 101, 200]).ticks] == ["1", "100", "200"]


def test_an_axis_of_many_values_has_no_means() -> None:
    many, few = points([0.1 * k for k in range(1, 20)]), points([1, 2])
    (axis,) = axes_of(many)
    assert {value["mean"] for value in effect_chart(axis, many, (0, 100)).spec["values"]} == {None}
    (axis,) = axes_of(few)
    assert [value["mean"] for value in effect_chart(axis, few, (0, 100)).spec["values"]] == [50, 51]


def test_lines_go_through_the_places_of_their_values() -> None:
    made = points([0.001, 0.01, 0.1])
    chart = parallel_chart(made, axes_of(made))
    assert chart is not None
    assert chart.spec["axes"][0]["log"] is True
    assert [point["at"] for point in chart.spec["points"]] == [[0.0], [0.5], [1.0]]
    assert parallel_chart(made[:1], axes_of(made)) is None


def test_points_without_a_setting_are_below_its_values() -> None:
    own = {"name": ["sgd", "sgd", "adam"], "momentum": [0.0, 0.9, None]}
    made = [
        SearchedPoint(f"point {k}", {key: row[k] for key, row in own.items() if row[k] is not None}, 50.0 + k, 1, 0)
        for k in range(3)
    ]
    chart = parallel_chart(made, axes_of(made))
    assert chart is not None
    axis = next(index for index, each in enumerate(chart.spec["axes"]) if each["name"] == "momentum")
    assert chart.spec["axes"][axis]["ticks"] == [[0.0, "–"], [0.12, "0"], [1.0, "0.9"]]
    assert {point["name"]: point["at"][axis] for point in chart.spec["points"]} == {
        "point 0": 0.12, "point 1": 1.0, "point 2": 0.0,
    }  # fmt: skip
