from __future__ import annotations

import pytest

from cifar_lab.config import Settings
from cifar_lab.config.io import settings_from
from cifar_lab.execution.pace import Pace, guess_seconds


def settings(*overrides: str) -> Settings:
    return settings_from({"data": {"dataset": "cifar10", "batch_size": 64}, "epochs": 10}, overrides=overrides)


@pytest.mark.parametrize(
    ("longer", "shorter"),
    [("data.batch_size=8", "data.batch_size=64"), ("epochs=20", "epochs=10"), ("model.name=ResNet18", "model.name=Net"),
     ("data.val_size=0", "data.val_size=5000")],
)  # fmt: skip
def test_what_is_guessed_to_take_longer(longer: str, shorter: str) -> None:
    assert guess_seconds(settings(longer)) > guess_seconds(settings(shorter))


def test_a_guess_is_of_the_order_of_what_was_measured() -> None:
    """1.65 ms a step of 64 images on one thread (`pace`): 782 steps, ten epochs."""
    assert guess_seconds(settings()) == pytest.approx(782 * 10 * 1.65e-3, rel=0.1)


def test_a_group_of_images_is_taken_whole() -> None:
    """A step of 8 images takes as long as one of 16, so an epoch twice as long."""
    halved = guess_seconds(settings("data.batch_size=8")) / guess_seconds(settings("data.batch_size=16"))
    assert halved == pytest.approx(2)


def seconds(pace: Pace, *overrides: str) -> float:
    return pace.seconds(pace.shape(settings(*overrides)))


def test_what_was_measured_counts_for_its_shape_and_sets_the_others_right() -> None:
    pace = Pace()
    assert not pace.measured
    pace.learn(settings("optimizer.lr=0.1"), 2 * guess_seconds(settings()))
    pace.learn(settings("scheduler.name=plateau"), 4 * guess_seconds(settings()))
    assert pace.measured
    assert seconds(pace, "optimizer.name=adam") == pytest.approx(3 * guess_seconds(settings()))
    assert seconds(pace, "epochs=30") == pytest.approx(3 * guess_seconds(settings("epochs=30")))
