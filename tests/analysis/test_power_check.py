from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from cifar_lab.analysis.power_check import DesignCheck, check_design
from cifar_lab.analysis.stats.power import Design, runs_to_show, smallest_difference
from cifar_lab.config import Settings
from cifar_lab.config.io.load import with_values
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.cost import MachineSpeeds
from cifar_lab.store.records import Record

MakeRecord = Callable[..., Record]

CONTROL = with_values(Settings(), {"label": "baseline", "seeds": [0, 1, 2, 3]}, where="test")


@pytest.fixture
def make_record(make_record: MakeRecord) -> MakeRecord:
    def make(*args: Any) -> Record:
        record = make_record(*args)
        return record.model_copy(update={"data": record.data.model_copy(update={"train_size": 50_000, "val_size": 0})})

    return make


def arm(**values: Any) -> Settings:
    return with_values(CONTROL, {key.replace("__", "."): value for key, value in values.items()}, where="test")


def check(arms: Sequence[Settings], records: Sequence[Record] = (), **more: Any) -> DesignCheck:
    options = {"family": len(arms), "effect": 0.5, "workers": 2} | more
    return check_design(CONTROL, arms, None, records, images=DatasetCatalog(), speeds=MachineSpeeds(records), **options)


def test_an_arm_that_differs_in_one_thing_is_fair() -> None:
    (found,) = check([arm(data__flip=True)]).arms
    assert (found.factors, found.faults) == (("data.flip off → on",), ())


def test_an_arm_that_differs_in_two_things_is_no_answer() -> None:
    (found,) = check([arm(data__flip=True, optimizer__lr=0.1)]).arms
    assert found.faults == ("it differs in 2 things, so the cause of a difference is unclear: data.flip, optimizer.lr",)
    (stated,) = check([arm(data__flip=True, optimizer__lr=0.1)], stated=["optimizer"]).arms
    assert stated.faults == ("data.flip differs too, but the question does not vary it",)
    (both,) = check([arm(data__flip=True, optimizer__lr=0.1)], stated=["optimizer", "data.flip"]).arms
    assert both.faults == ()
    (same,) = check([arm(label="again")]).arms
    assert same.faults == ("it has the same settings as the control, so there is nothing to compare",)


def test_what_the_seeds_can_show_comes_from_the_measured_spread(make_record: MakeRecord) -> None:
    flip = arm(data__flip=True)
    records = [make_record(0.5, seed, CONTROL) for seed in range(4)]
    records += [make_record(0.5 + gap, seed, flip) for seed, gap in enumerate((0.00, 0.01, 0.02))]
    found = check([flip], records, family=3)
    assert found.std is not None
    assert (found.std.std_pp, found.std.dof) == (pytest.approx(1.0), 2)
    assert found.std.source == "3 pairs of runs with a common seed"
    assert found.seeds == 4
    design = Design(1.0, std_dof=2, grain=0.01)
    assert found.smallest_pp == pytest.approx(smallest_difference(4, design, 0.03 / 3))
    assert found.seeds_needed == runs_to_show(0.5, design, 0.03 / 3)


def test_differences_from_one_control_count_as_fewer_degrees_of_freedom(make_record: MakeRecord) -> None:
    arms = [arm(data__flip=True), arm(optimizer__lr=0.2)]
    gaps = ((0.00, 0.01, 0.02), (0.02, 0.00, 0.01))
    records = [make_record(0.5, seed, CONTROL) for seed in range(3)]
    records += [make_record(0.5 + gap, seed, each) for each, row in zip(arms, gaps, strict=True)
                for seed, gap in enumerate(row)]  # fmt: skip
    found = check(arms, records).std
    assert found is not None
    assert found.dof == pytest.approx(4 / 1.25)


def test_runs_that_never_differ_are_planned_by_the_resolution_of_the_test_images(make_record: MakeRecord) -> None:
    flip = arm(data__flip=True)
    found = check([flip], [make_record(0.9, seed, each) for each in (CONTROL, flip) for seed in range(3)])
    assert found.std is not None
    assert found.std.std_pp == 0
    assert found.smallest_pp == pytest.approx(smallest_difference(4, Design(0.0, grain=0.01), 0.03))


def test_before_an_arm_has_run_the_control_s_own_spread_stands_in(make_record: MakeRecord) -> None:
    records = [make_record(value, seed, CONTROL) for seed, value in enumerate((0.50, 0.51, 0.52))]
    found = check([arm(data__flip=True)], records).std
    assert found is not None
    assert found.std_pp == pytest.approx(2**0.5)
    assert found.source.startswith("runs, without correlation")


def test_without_runs_nothing_is_made_up() -> None:
    found = check([arm(data__flip=True)])
    assert (found.std, found.smallest_pp, found.seeds_needed, found.cost.measured) == (None, None, None, 0)
    assert found.cost.guess == "estimated from another machine, because this one has no run of the model yet"
    assert (found.runs, found.missing) == (8, 8)


def test_an_arm_equal_to_the_last_bit_tells_nothing_of_the_spread(make_record: MakeRecord) -> None:
    plateau = arm(scheduler__name="plateau")
    records = [make_record(0.5 + seed / 100, seed, each) for each in (CONTROL, plateau) for seed in range(3)]
    found = check([plateau], records).std
    assert found is not None
    assert found.source.startswith("runs, without correlation")
