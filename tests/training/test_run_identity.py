"""What is trained is what the run's id names, or nothing: images and sources that change after the plan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifar_lab import data
from cifar_lab.config import Settings
from cifar_lab.config.io.load import settings_from
from cifar_lab.core.errors import DataError, SettingsError
from cifar_lab.execution.plan import plan_runs
from cifar_lab.store.results import RunFolder
from cifar_lab.training.job import Job
from cifar_lab.training.run import make_run

MODEL = """
from torch import nn


class Flat(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(nn.Flatten(), nn.Linear(3072, num_classes))
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(tmp_path / "cache"))


def draw_images(folder: Path, seed: int) -> None:
    """Two classes of four images in each split, other pixels for each seed."""
    generator = np.random.default_rng(seed)
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True, exist_ok=True)
            for number in range(4):
                pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")


def planned(settings: Settings, results: Path) -> Job:
    data.prepare(settings.data)
    (run,) = plan_runs([settings], results)
    return run.job


def make(job: Job) -> None:
    job.results.mkdir(exist_ok=True)
    make_run(job, lambda event: None, lambda: False)


def test_images_that_changed_after_the_plan_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_images(tmp_path / "images", seed=1)
    values = {"dataset": "imagefolder", "root": str(tmp_path / "images"), "batch_size": 4}
    settings = settings_from({"data": values, "epochs": 1, "seeds": [0], "runtime": {"device": "cpu"}})
    job = planned(settings, tmp_path / "results")
    draw_images(tmp_path / "images", seed=2)
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("CIFAR_LAB_CACHE", str(tmp_path / "another cache"))
        with pytest.raises(DataError, match=job.fingerprint[:8]):
            make(job)
    assert RunFolder(job.results, job.run_id).read_record() is None
    make(job)
    record = RunFolder(job.results, job.run_id).read_record()
    assert record is not None
    assert record.data.fingerprint == job.fingerprint


def test_a_source_that_changed_after_the_plan_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "flat.py"
    source.write_text(MODEL)
    values = {"dataset": "synthetic", "train_size": 40, "test_size": 20, "batch_size": 8}
    model = {"name": f"{source}:Flat"}
    settings = settings_from({"data": values, "model": model, "epochs": 1, "seeds": [0], "runtime": {"device": "cpu"}})
    job = planned(settings, tmp_path / "results")
    source.write_text(MODEL + "\n# another\n")
    with pytest.raises(SettingsError, match="changed since this command began"):
        make(job)
    assert list((tmp_path / "results").iterdir()) == []
    source.write_text(MODEL)
    make(job)
    assert RunFolder(job.results, job.run_id).read_record() is not None
