"""The wall time of runs that are still to make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cifar_lab.config import Settings
from cifar_lab.config.io.load import with_values
from cifar_lab.core.host import processor_name
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution import wall_time
from cifar_lab.execution.cost import MachineSpeeds
from cifar_lab.execution.wall_time import RunGroup, concurrent_runs, cost_of, image_counts
from cifar_lab.store.records import Record
from cifar_lab.studies.forecast import estimate

from ..record_fixtures import record

CONTROL = with_values(Settings(), {"label": "baseline", "data.val_size": 5_000}, where="test")


def arm(**values: Any) -> Settings:
    return with_values(CONTROL, {key.replace("__", "."): value for key, value in values.items()}, where="test")


def here(made: Record, seconds: float = 60.0) -> Record:
    environment = made.environment.model_copy(update={"device_name": processor_name()})
    return made.model_copy(update={"environment": environment, "train_seconds": seconds})


def test_hours_come_from_runs_of_this_machine_model_and_batch_size() -> None:
    records = [here(record(0.5, seed, CONTROL), seconds) for seed, seconds in enumerate((50, 60, 700))]
    records.append(record(0.5, 9, CONTROL))  # of another machine
    speeds, images, longer = MachineSpeeds(records), DatasetCatalog(), arm(epochs=20)
    found = cost_of([(longer, 3), (CONTROL, 0)], speeds, images, workers=2)
    assert found.hours == pytest.approx(3 * 120 / 2 / 3600)
    assert (found.workers, found.measured, found.guess, found.unknown) == (2, 3, "", ())
    other = cost_of([(arm(data__batch_size=128), 1)], speeds, images, workers=2)
    assert (other.hours, other.guess) == (
        pytest.approx(60 / 3600), "measured on 3 runs here, not all of these batch sizes",
    )  # fmt: skip
    unknown = cost_of([(longer, 1), (arm(label="wide", model__name="Net3"), 1)], speeds, images, workers=2)
    assert (unknown.hours, unknown.unknown) == (None, ("wide",))
    nothing = cost_of([], speeds, images, workers=2)
    assert nothing.hours == 0


def test_a_plan_and_a_sweep_say_the_same_of_the_same_runs(tmp_path: Path) -> None:
    records = [here(record(0.5, seed, CONTROL), seconds) for seed, seconds in enumerate((50, 60, 700))]
    for made in (records, []):
        arms = [(CONTROL, 3), (arm(data__batch_size=8, epochs=3), 2)]
        planned = cost_of(arms, MachineSpeeds(made), DatasetCatalog(), workers=2)
        parts = [RunGroup(settings, settings.epochs, count) for settings, count in arms]
        swept = estimate(parts, [], tmp_path, planned.workers, DatasetCatalog(), made)
        assert planned.hours is not None
        assert swept.search_seconds == pytest.approx(3600 * planned.hours)
        assert swept.source == planned.guess


def test_runs_on_a_gpu_share_the_time_of_their_cohorts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wall_time, "takes_gpu", lambda settings: True)
    for gpus, runs, workers, expected in (
        (1, 320, None, 2), (1, 320, 1, 1), (1, 40, None, 1), (2, 320, None, 2), (1, 3_000, None, 4), (1, 3, None, 4),
    ):  # fmt: skip
        monkeypatch.setattr(wall_time, "gpu_names", lambda gpus=gpus: ["NVIDIA H100 80GB HBM3"] * gpus)
        assert concurrent_runs(CONTROL, workers, runs) == expected
    assert concurrent_runs(arm(model__name="Wide"), None, 320) == 4


def test_images_that_only_the_files_can_tell_are_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    of_files = with_values(
        CONTROL, {"data": {"dataset": "imagefolder", "root": str(tmp_path / "images")}}, where="test"
    )
    assert image_counts(of_files, DatasetCatalog()) is None
