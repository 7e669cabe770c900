"""Forecast of attacks: passes of their images, at the seconds per pass of the networks that were trained here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.config import Settings
from cifar_lab.config.attack import PGD, AnyAttack, AutoAttack
from cifar_lab.execution.attack_cost import SHORTEST, AttackForecast, forecast_attacks
from cifar_lab.execution.attack_runs import AttackPlan
from cifar_lab.store.records import Record
from cifar_lab.training.attacks.job import AttackJob
from cifar_lab.training.attacks.passes import FORWARD, auto_passes, passes

from ..attack_fixtures import pgd_on, save_attacked, with_weights
from ..record_fixtures import timed_record

ATTACK = PGD(eps=(8 / 255,), steps=20, images=100)


def forecast(
    tmp_path: Path, records: list[Record], workers: int = 1, attack: AnyAttack = ATTACK, **model: Any
) -> AttackForecast:
    """Of the attack on the network of the first record."""
    settings = Settings.model_validate({"model": {"name": "Net", **model}})
    job = AttackJob(tmp_path, (attack,), (records[0].run_id,), (settings,), "cpu")
    return forecast_attacks(AttackPlan((job,), 1, 0, workers), records, tmp_path)


def test_training_times_are_an_upper_end(tmp_path: Path) -> None:
    found = forecast(tmp_path, [timed_record(450, kernels="torch")])  # 1 ms per image
    assert (found.seconds, found.is_measured) == (pytest.approx(100 * passes(ATTACK) * 1e-3), False)
    assert found.line == "time: a few seconds"
    longer = replace(found, seconds=SHORTEST)
    assert longer.line == "time: at most about 5 s, from training times on this machine"
    two = forecast(tmp_path, [timed_record(450, kernels="torch")], workers=2)
    assert two.seconds == pytest.approx(found.seconds / 2)
    own = forecast(tmp_path, [timed_record(150, kernels="own")])
    assert own.seconds == pytest.approx(found.seconds)


def test_times_of_another_machine_or_another_size_do_not_count(tmp_path: Path) -> None:
    elsewhere = timed_record(450, kernels="torch", device_name="another")
    assert forecast(tmp_path, [elsewhere]).seconds is None
    wide = timed_record(450, kernels="torch")
    sizes = {"name": "Wide", "channels": [8, 16], "widths": [120, 84], "batch_norm": False}
    wide = wide.model_copy(update={"settings": {**wide.settings, "model": sizes}})
    assert forecast(tmp_path, [wide], **sizes).seconds is not None
    assert forecast(tmp_path, [wide], **sizes | {"channels": [16, 32]}).seconds is None


def test_earlier_attacks_count_before_training_times(tmp_path: Path) -> None:
    record = with_weights(timed_record(450, kernels="torch"))
    made = pgd_on(record, [0.2], ATTACK, images=100, seconds=1.0, device_name=record.environment.device_name)
    save_attacked(tmp_path, (record, [made]))
    found = forecast(tmp_path, [record])
    assert (found.is_measured, found.seconds) == (True, pytest.approx(1.0))


def test_autoattack_drops_what_is_misclassified_and_has_a_target_per_other_class(tmp_path: Path) -> None:
    assert auto_passes(10) == 100 + 1800 + 5000 * FORWARD
    assert auto_passes(5) == 100 + 800 + 5000 * FORWARD
    assert auto_passes(1000) == auto_passes(10)
    assert auto_passes(10, clean=0.8, robust=0.9) == pytest.approx(0.8 * auto_passes(10))

    attack = AutoAttack(name="autoattack", eps=(1 / 255,), images=100)
    record = with_weights(timed_record(450, kernels="torch"))
    assert record.test is not None
    classes, clean = len(record.data.classes), record.test.accuracy
    alone = forecast(tmp_path, [record], attack=attack)
    assert (alone.seconds, alone.is_measured) == (pytest.approx(0.1 * (1 + auto_passes(classes, clean))), False)
    assert alone.line.startswith("time: at most about ")
    made = pgd_on(record, [0.2, 0.1], PGD(eps=(0.0, 0.5 / 255, 8 / 255)), images=100, seconds=1.0, clean=clean)
    save_attacked(tmp_path, (record, [made]))
    known = forecast(tmp_path, [record], attack=attack)
    assert known.seconds == pytest.approx(0.1 * (1 + auto_passes(classes, clean, 0.2)))
    assert known.line.startswith("time: at most about ")
