"""Random search: the same points from the same seed, wherever and whenever."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from cifar_lab.core.errors import SettingsError

SPACE = {
    "optimizer.lr": {"min": 1e-4, "max": 0.1, "log": True},
    "data.batch_size": {"min": 8, "max": 64},
    "data.flip": [False, True],
}

FIRST_POINTS: list[dict[str, Any]] = [
    {"optimizer.lr": 0.003742, "data.batch_size": 52, "data.flip": False},
    {"optimizer.lr": 0.066285, "data.batch_size": 42, "data.flip": True},
    {"optimizer.lr": 0.0005694, "data.batch_size": 47, "data.flip": False},
    {"optimizer.lr": 0.034043, "data.batch_size": 33, "data.flip": True},
]


def search(trials: int = 20, **more: Any) -> dict[str, Any]:
    return {"method": "random", "trials": trials, **more}


def test_the_points_of_seed_0_are_these(points: Any) -> None:
    """Another version of Python, or of this code, that drew others would name other runs."""
    found = points(space=SPACE, search=search(4))
    assert [dict(point.values) for point in found.points] == FIRST_POINTS
    assert found.points[0].name == "lr 0.003742 · batch 52 · no flip"


def test_another_process_draws_the_same() -> None:
    code = (
        "from cifar_lab.config.sheets import SweepSheet; "
        "from cifar_lab.config import Settings; "
        "from cifar_lab.studies.space.agreement import drawn_axes; "
        "from cifar_lab.studies.space.conditions import Space; "
        "from cifar_lab.studies.space.draws import draw_points; "
        f"sheet = SweepSheet.model_validate({{'base': 'b', 'space': {SPACE}, 'search': {search(4)}}}); "
        "print(draw_points(Space(drawn_axes(sheet), Settings()), (), 0, 4, '') == " + repr(FIRST_POINTS) + ")"
    )
    environment = {"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_more_trials_add_points_and_another_seed_draws_others(points: Any) -> None:
    few, many = (points(space=SPACE, search=search(trials)).points for trials in (5, 9))
    assert many[:5] == few
    other = points(space=SPACE, search=search(5, seed=1)).points
    assert not {point.name for point in other} & {point.name for point in many}


def test_another_axis_leaves_the_draws_of_the_others(points: Any) -> None:
    more = points(space={"epochs": {"min": 2, "max": 5}, **SPACE}, search=search(5)).points
    assert [{**point.values, "epochs": None} for point in more] == [
        {**point.values, "epochs": None} for point in points(space=SPACE, search=search(5)).points
    ]


def test_draws_that_mean_the_same_are_one_point_and_are_counted(points: Any) -> None:
    found = points(space={"data.flip": [False, True], "epochs": [1, 2, 2]}, search=search(50))
    assert (len(found.points), found.duplicates) == (4, 46)


def test_arms_stand_beside_the_draws(points: Any) -> None:
    found = points(space=SPACE, search=search(3), arms={"as it is": {}, "long": {"epochs": 20}})
    assert [point.name for point in found.points[3:]] == ["as it is", "long"]


def test_what_is_excluded_is_drawn_again(points: Any) -> None:
    found = points(space=SPACE, search=search(30), exclude=[{"data.flip": True}])
    assert len(found.points) == 30
    assert not any(point.values["data.flip"] for point in found.points)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (
            {"space": {"data.flip": [False, True]}, "exclude": [{"data.flip": True}, {"data.flip": False}]},
            "sweep.yaml: exclude: excludes nearly every point; keep more of them",
        ),
        (
            {"space": {"epochs": [1, 2]}, "exclude": [{"epochs": 3}]},
            "sweep.yaml: exclude[0]: epochs: 3 matches no point; check its values against space and paired",
        ),
        (
            {"space": {"optimizer.momentum": {"min": 0.0, "max": 1.5}}},
            "sweep.yaml: optimizer.momentum: 1.1122 is out of range; expected a number at least 0 and below 1 "
            "(in 1 of 5 points, first in: momentum 1.1122)",
        ),
    ],
)
def test_a_space_that_cannot_be_drawn_from(points: Any, parts: dict[str, Any], expected: str) -> None:
    with pytest.raises(SettingsError) as refused:
        points(**parts, search=search(5))
    assert str(refused.value).splitlines()[0] == expected
