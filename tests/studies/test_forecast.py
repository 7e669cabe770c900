"""What is told of a search before its start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cifar_lab import models
from cifar_lab.config import Settings
from cifar_lab.config.io.load import settings_from
from cifar_lab.config.registry import BUILT_IN_MODELS
from cifar_lab.core.errors import EnvironmentFault
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.wall_time import RunGroup
from cifar_lab.studies.forecast import PARAMETERS, amount, duration, estimate

from ..record_fixtures import timed_record


def settings(**sections: Any) -> Settings:
    data = {"dataset": "cifar10", "val_size": 5_000}
    return settings_from({"data": data, "runtime": {"device": "cpu"}, **sections})


def test_an_estimate_adds_up(tmp_path: Path) -> None:
    arm = settings()
    found = estimate(
        [RunGroup(arm, 10, 8), RunGroup(arm, 5, 4, is_new=False)],
        [RunGroup(arm, 10, 3, is_tested=True)],
        tmp_path / "not" / "there",
        2,
        DatasetCatalog(),
        [timed_record(100)],
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
        "2 min per run, measured on 1 run here"
    )
    assert lines[1].startswith("memory: about 740 MB per worker, 1.5 GB in all")
    assert lines[2].startswith("disk: about 391 kB per run, 13 MB in all; ")


def test_what_a_run_leaves_is_no_more_than_was_told(lab: Any) -> None:
    job = lab.job(lab.settings())
    lab.make(job)
    told = estimate([RunGroup(job.settings, 3, is_tested=True)], [], lab.results, 1, DatasetCatalog())
    left = sum(path.stat().st_size for path in lab.run_folder(job).path.iterdir())
    assert 0.7 * told.run_bytes < left <= told.run_bytes


def test_a_disk_that_is_too_small_is_refused(tmp_path: Path) -> None:
    found = estimate([RunGroup(settings(), 10, 1e9)], [], tmp_path, 2, DatasetCatalog(), [timed_record(100)])
    with pytest.raises(EnvironmentFault) as refused:
        found.check_disk(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path}: the missing runs need about 260 TB, ")
    assert str(refused.value).endswith(
        " are free; free space or choose another folder with --results, then run the same command again"
    )


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


def test_images_that_only_the_files_can_tell_are_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    arm = settings(data={"dataset": "imagefolder", "root": str(tmp_path / "images")})
    found = estimate([RunGroup(arm, 10)], [], tmp_path, 1, DatasetCatalog())
    assert next(found.lines()) == "time: not known (the images have not been prepared yet)"
