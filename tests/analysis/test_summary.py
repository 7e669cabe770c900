from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from cifar_lab.analysis.summary import Row, arm_row, summarize
from cifar_lab.config import Adam, Settings
from cifar_lab.store.records import Record

MakeRecord = Callable[..., Record]


def test_mean_and_sample_deviation_by_hand(make_record: MakeRecord) -> None:
    # Deviations from 0.52 are -0.02, 0, +0.02: sum of squares 0.0008, over n - 1 = 2, is 0.0004, whose root is 0.02.
    row = arm_row("a", [make_record(0.54, 2), make_record(0.50, 0), make_record(0.52, 1)], seeds=(0, 1, 2), command="x")
    assert row.n == 3
    assert row.mean == pytest.approx(0.52, abs=1e-15)
    assert row.std == pytest.approx(0.02, abs=1e-15)
    assert row.values == ((0, 0.50), (1, 0.52), (2, 0.54))
    assert row.seconds == pytest.approx(11.0)
    assert (row.epochs, row.parameters, row.missing_seeds, row.command) == (10, 62_006, (), "")


def test_two_runs_deviate_by_their_distance_over_root_two(make_record: MakeRecord) -> None:
    row = arm_row("a", [make_record(0.4, 0), make_record(0.5, 1)])
    assert row.std == pytest.approx(0.1 / math.sqrt(2), abs=1e-15)


def test_one_run_has_a_mean_and_no_deviation(make_record: MakeRecord) -> None:
    row = arm_row("a", [make_record(0.61, 4)], seeds=(0, 4, 9), command="cifar-lab run a.yaml")
    assert (row.mean, row.std, row.n) == (0.61, None, 1)
    assert (row.missing_seeds, row.command) == ((0, 9), "cifar-lab run a.yaml")


def test_nothing_is_missing_but_named(make_record: MakeRecord) -> None:
    row = arm_row("a", [], seeds=(3, 1), command="c")
    assert row == Row(label="a", missing_seeds=(1, 3), command="c")
    assert row.is_missing


def test_diverged_runs_are_counted_and_in_no_mean(make_record: MakeRecord) -> None:
    row = arm_row("a", [make_record(0.5, 0), make_record(None, 1), make_record(0.6, 2)])
    assert row.mean == pytest.approx(0.55)
    assert row.diverged == ((1, "loss is nan at step 7"),)
    assert (row.n, row.attempts, row.is_missing) == (2, 3, False)
    assert row.seconds == pytest.approx(11.0)


def test_all_diverged_is_not_missing(make_record: MakeRecord) -> None:
    row = arm_row("a", [make_record(None, 0)], seeds=(0,), command="c")
    assert (row.mean, row.n, row.is_missing, row.command) == (None, 0, False, "")


def test_runs_of_a_search_have_no_test_accuracy(make_record: MakeRecord) -> None:
    score = make_record(0.7).test
    row = arm_row("a", [make_record(0.5, 0, test=None, val=score, test_reason="search")])
    assert (row.n, row.untested, row.mean, row.val_mean, row.seconds) == (0, 1, None, 0.7, 10.0)


def test_a_row_refuses_several_data_sets(make_record: MakeRecord) -> None:
    with pytest.raises(ValueError, match="several data sets"):
        arm_row("a", [make_record(0.5, 0), make_record(0.5, 1, data="synthetic")])


def test_a_row_refuses_a_seed_twice(make_record: MakeRecord) -> None:
    with pytest.raises(ValueError, match=r"^a: two records of seed 1; a run counts once$"):
        arm_row("a", [make_record(0.5, 0), make_record(0.5, 1), make_record(0.6, 1)])


def test_summarize_groups_by_recipe_and_data(make_record: MakeRecord) -> None:
    adam = Settings(optimizer=Adam(name="adam"))
    rows = summarize(
        [
            make_record(0.5, 0, label="old name"),
            make_record(0.6, 0, adam, label="Adam"),
            make_record(0.9, 0, label="old name", data="synthetic"),
            make_record(0.52, 1, label="new name"),
        ]
    )
    assert [(row.label, row.n, row.data) for row in rows] == [
        ("new name", 2, "cifar10"),
        ("Adam", 1, "cifar10"),
        ("old name", 1, "synthetic"),
    ]
    assert rows[0].mean == pytest.approx(0.51)


def test_equal_accuracies_have_an_interval_as_wide_as_the_step_of_the_test_set() -> None:
    """Three runs, standard deviation of rounding to 1 % of 100 images: 4.303 · 0.01 / √12 / √3."""
    row = Row("tied", values=((0, 0.99), (1, 0.99), (2, 0.99)), test_size=100)
    low, high = row.interval or (0.0, 0.0)
    assert (high - low) / 2 == pytest.approx(4.3027 * 0.01 / 6, abs=1e-6)
