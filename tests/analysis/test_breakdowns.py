from __future__ import annotations

from collections.abc import Callable

import pytest

from cifar_lab.analysis.breakdowns import ArmBreakdown, confusion_gaps
from cifar_lab.analysis.search_points import SearchedPoint, axes_of
from cifar_lab.report.charts.search import effect_chart
from cifar_lab.store.records import Record

MakeRecord = Callable[..., Record]


def test_an_arm_that_makes_the_mistakes_of_the_control_has_no_gap_to_draw(make_record: MakeRecord) -> None:
    def arm(style: int, *confusion: tuple[int, int]) -> ArmBreakdown:
        run = make_record(0.5, classes=2)
        assert run.test is not None
        test = run.test.model_copy(update={"confusion": confusion})
        return ArmBreakdown("arm", style, (run.model_copy(update={"test": test}),))

    control = arm(-1, (6, 4), (3, 7))
    same, other = confusion_gaps(control, [arm(0, (6, 4), (3, 7)), arm(1, (5, 5), (3, 7))])
    assert (same.is_empty, same.changes) == (True, ())
    assert not other.is_empty
    assert other.cells == ((-10, 10), (0, 0))


@pytest.mark.parametrize(
    ("values", "ordered", "shown"),
    [
        ((0.1, 0.001, 0.01), True, ["0.001", "0.01", "0.1"]),
        (("sgd", "adam"), False, ["sgd", "adam"]),
        ((True, False), False, ["true", "false"]),
    ],
)
def test_a_line_joins_the_means_of_numbers_alone(values: tuple[object, ...], ordered: bool, shown: list[str]) -> None:
    points = [SearchedPoint(str(value), {"key": value}, 50.0, 1, 0) for value in values]
    (axis,) = axes_of(points)
    spec = effect_chart(axis, points, (40, 60)).spec
    assert spec["ordered"] is ordered
    assert [value["label"] for value in spec["values"]] == shown
