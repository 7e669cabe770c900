from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.analysis.hours import cost
from cifar_lab.analysis.power_check import DesignCheck, check_design
from cifar_lab.analysis.stats.power import Design, runs_to_show, smallest_difference
from cifar_lab.config import Settings
from cifar_lab.config.io import with_values
from cifar_lab.core.host import processor_name
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.estimate import Part, estimate
from cifar_lab.execution.speeds import Speeds
from cifar_lab.store.records import Record

MakeRecord = Callable[..., Record]

CONTROL = with_values(Settings(), {"label": "baseline", "seeds": [0, 1, 2, 3]}, where="test")


def arm(**values: Any) -> Settings:
    return with_values(CONTROL, {key.replace("__", "."): value for key, value in values.items()}, where="test")


def check(arms: Sequence[Settings], records: Sequence[Record] = (), **more: Any) -> DesignCheck:
    options = {"family": len(arms), "effect": 0.5, "workers": 2} | more
    return check_design(CONTROL, arms, None, records, images=DatasetCatalog(), speeds=Speeds(records), **options)


def here(record: Record, seconds: float = 60.0) -> Record:
    environment = record.environment.model_copy(update={"device_name": processor_name()})
    return record.model_copy(update={"environment": environment, "train_seconds": seconds})


def test_an_arm_that_differs_in_one_thing_is_fair() -> None:
    (found,) = check([arm(data__flip=True)]).arms
    assert (found.factors, found.faults) == (("data.flip off → on",), ())


def test_an_arm_that_differs_in_two_things_is_no_answer() -> None:
    (found,) = check([arm(data__flip=True, optimizer__lr=0.1)]).arms
    assert found.faults == ("it differs in 2 things, so nothing says which of them did it: data.flip, optimizer.lr",)
    (stated,) = check([arm(data__flip=True, optimizer__lr=0.1)], stated=["optimizer"]).arms
    assert stated.faults == ("data.flip differs too, which is not what the question varies",)
    (both,) = check([arm(data__flip=True, optimizer__lr=0.1)], stated=["optimizer", "data.flip"]).arms
    assert both.faults == ()
    (same,) = check([arm(label="again")]).arms
    assert same.faults == ("it has the settings of the control: there is nothing to compare",)


def test_what_the_seeds_can_show_comes_from_the_measured_spread(make_record: MakeRecord) -> None:
    flip = arm(data__flip=True)
    records = [make_record(0.5, seed, CONTROL) for seed in range(4)]
    records += [make_record(0.5 + gap, seed, flip) for seed, gap in enumerate((0.00, 0.01, 0.02))]
    found = check([flip], records, family=3)
    assert found.spread is not None
    assert (found.spread.points, found.spread.degrees) == (pytest.approx(1.0), 2)
    assert found.spread.source == "3 pairs of runs of one seed"
    assert found.seeds == 4
    assert found.smallest == pytest.approx(smallest_difference(4, Design(1.0), 0.05 / 3))
    assert found.seeds_needed == runs_to_show(0.5, Design(1.0), 0.05 / 3)


def test_before_an_arm_has_run_the_control_s_own_spread_stands_in(make_record: MakeRecord) -> None:
    records = [make_record(value, seed, CONTROL) for seed, value in enumerate((0.50, 0.51, 0.52))]
    found = check([arm(data__flip=True)], records).spread
    assert found is not None
    assert found.points == pytest.approx(2**0.5)
    assert found.source.startswith("runs over their seeds")


def test_without_runs_nothing_is_made_up() -> None:
    found = check([arm(data__flip=True)])
    assert (found.spread, found.smallest, found.seeds_needed, found.cost.measured) == (None, None, None, 0)
    assert found.cost.guess == "guessed from another machine, since no run of the model was made here yet"
    assert (found.runs, found.missing) == (8, 8)


def test_an_arm_equal_to_the_last_bit_tells_nothing_of_the_spread(make_record: MakeRecord) -> None:
    plateau = arm(scheduler__name="plateau")
    records = [make_record(0.5 + seed / 100, seed, each) for each in (CONTROL, plateau) for seed in range(3)]
    found = check([plateau], records).spread
    assert found is not None
    assert found.source.startswith("runs over their seeds")


def test_hours_come_from_runs_of_this_machine_model_and_batch_size(make_record: MakeRecord) -> None:
    records = [here(make_record(0.5, seed, CONTROL), seconds) for seed, seconds in enumerate((50, 60, 700))]
    records.append(make_record(0.5, 9, CONTROL))  # of another machine
    speeds, images, longer = Speeds(records), DatasetCatalog(), arm(epochs=20)
    found = cost([(longer, 3), (CONTROL, 0)], speeds, images, workers=2)
    assert found.hours == pytest.approx(3 * 120 / 2 / 3600)
    assert (found.workers, found.measured, found.guess, found.unknown) == (2, 3, "", ())
    other = cost([(arm(data__batch_size=128), 1)], speeds, images, workers=2)
    assert (other.hours, other.guess) == (
        pytest.approx(60 / 3600), "measured on 3 runs here, not all of these batch sizes",
    )  # fmt: skip
    unknown = cost([(longer, 1), (arm(label="wide", model__name="Net3"), 1)], speeds, images, workers=2)
    assert (unknown.hours, unknown.unknown) == (None, ("wide",))
    nothing = cost([], speeds, images, workers=2)
    assert nothing.hours == 0


def test_a_plan_and_a_sweep_say_the_same_of_the_same_runs(make_record: MakeRecord, tmp_path: Path) -> None:
    records = [here(make_record(0.5, seed, CONTROL), seconds) for seed, seconds in enumerate((50, 60, 700))]
    for made in (records, []):
        arms = [(CONTROL, 3), (arm(data__batch_size=8, epochs=3), 2)]
        planned = cost(arms, Speeds(made), DatasetCatalog(), workers=2)
        parts = [Part(settings, settings.epochs, count) for settings, count in arms]
        swept = estimate(parts, [], tmp_path, planned.workers, DatasetCatalog(), made)
        assert planned.hours is not None
        assert swept.search_seconds == pytest.approx(3600 * planned.hours)
        assert swept.source == planned.guess
