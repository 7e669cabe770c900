from __future__ import annotations

from typing import Any

import pytest

from cifar_lab.config import Settings
from cifar_lab.config.io.load import settings_from
from cifar_lab.core.host import processor_name
from cifar_lab.execution.cost import MachineSpeeds, RunSeconds, guess_seconds

from ..record_fixtures import timed_record


def settings(*overrides: str) -> Settings:
    values = {"data": {"dataset": "cifar10", "batch_size": 64}, "epochs": 10, "runtime": {"device": "cpu"}}
    return settings_from(values, overrides=overrides)


@pytest.mark.parametrize(
    ("longer", "shorter"),
    [("data.batch_size=8", "data.batch_size=64"), ("epochs=20", "epochs=10"), ("model.name=ResNet18", "model.name=Net"),
     ("data.val_size=0", "data.val_size=5000")],
)  # fmt: skip
def test_what_is_guessed_to_take_longer(longer: str, shorter: str) -> None:
    assert guess_seconds(settings(longer)) > guess_seconds(settings(shorter))


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ((), 13.28125), (("data.batch_size=8",), 31.25), (("data.batch_size=512",), 12.59765625),
        (("model.name=Net1",), 17.265625), (("model.name=Net2",), 13.28125), (("model.name=Net3",), 39.84375),
        (("model.name=ResNet18",), 1301.5625), (("data.val_size=5000", "epochs=3"), 3.5859375),
    ],
)  # fmt: skip
def test_guesses_stay_as_they_are(overrides: tuple[str, ...], expected: float) -> None:
    assert guess_seconds(settings(*overrides)) == pytest.approx(expected)


def test_there_is_one_guess_before_a_start_and_while_runs_are_made() -> None:
    for name in ("Net", "Net1", "Net2"):
        arm = settings(f"model.name={name}")
        assert MachineSpeeds([]).training(arm, 500_000).seconds == guess_seconds(arm)


def test_a_guess_is_of_the_order_of_what_was_measured() -> None:
    """1.65 ms a step of 64 images on one thread (`cost`): 782 steps, ten epochs."""
    assert guess_seconds(settings()) == pytest.approx(782 * 10 * 1.65e-3, rel=0.1)


def test_a_group_of_images_is_taken_whole() -> None:
    """A step of 8 images takes as long as one of 16, so an epoch twice as long."""
    halved = guess_seconds(settings("data.batch_size=8")) / guess_seconds(settings("data.batch_size=16"))
    assert halved == pytest.approx(2)


def seconds(learned: RunSeconds, *overrides: str) -> float:
    return learned.seconds_per_run(learned.shape(settings(*overrides)))


def test_what_was_measured_counts_for_its_shape_and_sets_the_others_right() -> None:
    learned = RunSeconds()
    assert not learned.is_measured
    learned.learn(settings("optimizer.lr=0.1"), 2 * guess_seconds(settings()))
    learned.learn(settings("scheduler.name=plateau"), 4 * guess_seconds(settings()))
    assert learned.is_measured
    assert seconds(learned, "optimizer.name=adam") == pytest.approx(3 * guess_seconds(settings()))
    assert seconds(learned, "epochs=30") == pytest.approx(3 * guess_seconds(settings("epochs=30")))


def test_seconds_are_those_of_runs_on_this_machine(lab: Any) -> None:
    done = lab.make(lab.job(lab.settings("epochs=1")))
    assert done.environment.device_name == processor_name()
    records = [timed_record(seconds) for seconds in (100, 110, 500)]
    records += [timed_record(1, device_name="another"), timed_record(1, device="cuda", device_name="H")]
    timed = MachineSpeeds(records).training(settings(), 450_000)
    assert (timed.seconds, timed.doubt, timed.source) == (pytest.approx(110), 0, "measured on 3 runs here")


def test_runs_of_our_own_kernels_count_before_those_of_torchs() -> None:
    """Which the settings may insist on."""
    speeds = MachineSpeeds([timed_record(100, kernels="torch"), timed_record(30, kernels="own")])
    assert speeds.training(settings(), 450_000).seconds == pytest.approx(30)
    assert speeds.training(settings("runtime.kernels=torch"), 450_000).seconds == pytest.approx(100)
    older = MachineSpeeds([timed_record(100, kernels="torch")])
    assert older.training(settings(), 450_000).seconds == pytest.approx(100)


def test_the_nearest_batch_size_stands_in_and_is_said() -> None:
    speeds = MachineSpeeds([timed_record(100), timed_record(50, batch=512)])
    timed = speeds.training(settings("data.batch_size=256"), 450_000)
    assert timed.seconds == pytest.approx(50)
    assert timed.source == "measured on 2 runs here, not all of these batch sizes"


def test_the_members_of_a_cohort_share_its_seconds() -> None:
    timed = MachineSpeeds([timed_record(120, cohort=4)]).training(settings(), 450_000)
    assert timed.seconds == pytest.approx(30)


def test_without_a_run_it_is_a_guess_or_not_known() -> None:
    guess = MachineSpeeds([]).training(settings(), 64_000)
    assert guess.seconds == pytest.approx(1_000 * 1.65e-3, rel=0.05)  # 64 images a step take 1.65 ms: see cost.py
    assert guess.source == "estimated from another machine, because this one has no run of the model yet"
    unknown = MachineSpeeds([]).training(settings("model.name=ResNet18"), 64_000)
    assert (unknown.seconds, unknown.source) == (None, "no run of ResNet18 exists on this machine yet")
