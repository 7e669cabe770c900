"""What is told before a start: from runs that were made here, or a guess that says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cifar_lab import models
from cifar_lab.config import BUILT_IN_MODELS, Settings
from cifar_lab.config.io import settings_from
from cifar_lab.core.errors import EnvironmentFault
from cifar_lab.core.host import available_memory, gpu_names, processor_name
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.estimate import PARAMETERS, Part, amount, duration, estimate, images_of
from cifar_lab.execution.speeds import Speeds
from cifar_lab.store.records import Record

CIFAR = {"dataset": "cifar10", "val_size": 5_000}


def settings(**sections: Any) -> Settings:
    return settings_from({"data": CIFAR, "runtime": {"device": "cpu"}, **sections})


@pytest.fixture
def done(lab: Any) -> Record:
    record: Record = lab.make(lab.job(lab.settings("data.val_size=30", "epochs=2")))
    return record


def as_if(record: Record, *, seconds: float, batch: int = 64, model: str = "Net", **environment: Any) -> Record:
    """The record of a run on 45,000 images for 10 epochs."""
    return record.model_copy(
        update={
            "train_seconds": seconds,
            "epochs_trained": 10,
            "data": record.data.model_copy(update={"train_size": 45_000}),
            "settings": {**record.settings, "data": {"batch_size": batch}, "model": {"name": model}},
            "environment": record.environment.model_copy(update=environment),
        }
    )


def test_seconds_are_those_of_runs_on_this_machine(done: Record) -> None:
    assert done.environment.device_name == processor_name()
    records = [as_if(done, seconds=seconds) for seconds in (100, 110, 500)]
    records += [as_if(done, seconds=1, device_name="another"), as_if(done, seconds=1, device="cuda", device_name="H")]
    timed = Speeds(records).training(settings(), 450_000)
    assert (timed.seconds, timed.doubt, timed.source) == (pytest.approx(110), 0, "measured on 3 runs here")


def test_runs_of_our_own_kernels_count_before_those_of_torchs(done: Record) -> None:
    """Which the settings may insist on."""
    speeds = Speeds([as_if(done, seconds=100, kernels="torch"), as_if(done, seconds=30, kernels="own")])
    assert speeds.training(settings(), 450_000).seconds == pytest.approx(30)
    assert speeds.training(settings(runtime={"kernels": "torch"}), 450_000).seconds == pytest.approx(100)
    older = Speeds([as_if(done, seconds=100, kernels="torch")])
    assert older.training(settings(), 450_000).seconds == pytest.approx(100)


def test_the_nearest_batch_size_stands_in_and_is_said(done: Record) -> None:
    speeds = Speeds([as_if(done, seconds=100), as_if(done, seconds=50, batch=512)])
    timed = speeds.training(settings(data={**CIFAR, "batch_size": 256}), 450_000)
    assert timed.seconds == pytest.approx(50)
    assert timed.source == "measured on 2 runs here, not all of these batch sizes"


def test_the_members_of_a_cohort_share_its_seconds(done: Record) -> None:
    timed = Speeds([as_if(done, seconds=120, cohort=4)]).training(settings(), 450_000)
    assert timed.seconds == pytest.approx(30)


def test_without_a_run_it_is_a_guess_or_not_known() -> None:
    guess = Speeds([]).training(settings(), 64_000)
    assert guess.seconds == pytest.approx(1_000 * 1.65e-3, rel=0.05)  # 64 images a step take 1.65 ms: see pace.py
    assert guess.source == "guessed from another machine, since no run of the model was made here yet"
    unknown = Speeds([]).training(settings(model={"name": "ResNet18"}), 64_000)
    assert (unknown.seconds, unknown.source) == (None, "no run of ResNet18 was made here yet")


def test_an_estimate_adds_up(done: Record, tmp_path: Path) -> None:
    arm = settings()
    found = estimate(
        [Part(arm, 10, 8), Part(arm, 5, 4, is_new=False)],
        [Part(arm, 10, 3, is_tested=True)],
        tmp_path / "not" / "there",
        2,
        DatasetCatalog(),
        [as_if(done, seconds=100)],
        pruned=4,
    )
    assert found.runs == 8
    assert found.search_seconds == pytest.approx((8 * 100 + 4 * 50) / 2)
    assert found.confirm_seconds == pytest.approx(3 * 100 / 2)
    weights, predictions = 4 * PARAMETERS["Net"], 10_000 * (4 * 10 + 8)
    assert found.disk_bytes == pytest.approx(11 * (12_000 + weights) + 3 * predictions + (2 + 4) * 6 * weights)
    assert found.worker_bytes == pytest.approx(320e6 + 60_000 * 7_000)
    lines = list(found.lines())
    assert lines[0] == (
        "time: about 8 min for the search with 2 workers, then at most 2 min for the winners; "
        "2 min a run, measured on 1 run here"
    )
    assert lines[1].startswith("memory: about 740 MB a worker, 1.5 GB in all")
    assert lines[2].startswith("disk: about 391 kB a run, 13 MB in all; ")


def test_what_a_run_leaves_is_no_more_than_was_told(lab: Any) -> None:
    job = lab.job(lab.settings())
    lab.make(job)
    told = estimate([Part(job.settings, 3, is_tested=True)], [], lab.results, 1, DatasetCatalog())
    left = sum(path.stat().st_size for path in lab.run_folder(job).path.iterdir())
    assert 0.7 * told.run_bytes < left <= told.run_bytes


def test_a_disk_that_is_too_small_is_refused(done: Record, tmp_path: Path) -> None:
    found = estimate([Part(settings(), 10, 1e9)], [], tmp_path, 2, DatasetCatalog(), [done])
    with pytest.raises(EnvironmentFault) as refused:
        found.check_disk(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path}: the runs to make need about 260 TB, ")
    assert str(refused.value).endswith(
        " are free; free space or choose another folder with --results, then give the same command again"
    )


def test_images_that_only_the_files_can_tell_are_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    arm = settings(data={"dataset": "imagefolder", "root": str(tmp_path / "images")})
    assert images_of(arm, DatasetCatalog()) is None
    found = estimate([Part(arm, 10)], [], tmp_path, 1, DatasetCatalog())
    assert next(found.lines()) == "time: not known (the images have not been prepared yet)"


def test_parameters_of_the_built_in_models() -> None:
    with torch.device("meta"):
        built = {name: models.build(cls(name=name), 10) for name, cls in BUILT_IN_MODELS.items()}
    counts = {name: models.count_parameters(network) for name, network in built.items()}
    assert counts == PARAMETERS


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0 s"), (12.4, "12 s"), (119, "2 min"), (5_000, "83 min"), (90_000, "25.0 h")]
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 bytes"), (999, "999 bytes"), (12_300, "12 kB"), (1.25e9, "1.2 GB"), (3.2e14, "320 TB")]
)
def test_amounts(size: float, words: str) -> None:
    assert amount(size) == words


def test_the_machine_tells_its_memory_and_gpus(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   2048 kB\n")
    card = tmp_path / "driver" / "nvidia" / "gpus" / "0000:01:00.0"
    card.mkdir(parents=True)
    (card / "information").write_text("Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 12\n")
    assert (available_memory(tmp_path), gpu_names(tmp_path)) == (2_097_152, ["NVIDIA H100 80GB HBM3"])
    assert (available_memory(tmp_path / "none"), gpu_names(tmp_path / "none")) == (None, [])
