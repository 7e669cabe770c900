from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cifar_lab import data
from cifar_lab.config import SGD, Settings, Synthetic
from cifar_lab.core.errors import DataError, SettingsError
from cifar_lab.execution.plan import PlannedRun, plan_runs, run_ids_of
from cifar_lab.store.records import DataIdentity, Environment, Record
from cifar_lab.store.results import RunFolder

IMAGES = Synthetic(dataset="synthetic", train_size=40, test_size=20, batch_size=8)


@pytest.fixture(autouse=True)
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(tmp_path / "cache"))
    data.prepare(IMAGES)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def arm(label: str = "arm", **changes: object) -> Settings:
    return Settings(**{"label": label, "data": IMAGES, "seeds": (0, 1), **changes})  # type: ignore[arg-type]


def record_of(run: PlannedRun, **changes: object) -> Record:
    environment = Environment(
        cifar_lab="0", python="3", torch="2", torchvision="0", numpy="2", platform="p", device="cpu", device_name="d",
        threads=1, git_commit=None, git_dirty=None,
    )  # fmt: skip
    identity = DataIdentity(
        name="synthetic",
        fingerprint=data.prepare(IMAGES).fingerprint,
        split_hash=None,
        classes=("a",),
        train_size=40,
        val_size=0,
        test_size=20,
    )
    settings = run.job.settings.model_dump(mode="json")
    values = {
        "run_id": run.job.run_id, "recipe": run.job.recipe, "settings": settings, "label": "arm", "seed": run.job.seed,
        "status": "done", "epochs_trained": 1, "parameters": 1, "val": None, "test": None, "train_seconds": 1.0,
        "started": "2026-11-01T10:00:00Z", "finished": "2026-11-01T10:00:01Z", "data": identity,
        "environment": environment,
    }  # fmt: skip
    return Record.model_validate({**values, **changes})


def states(arms: list[Settings], results: Path, **options: bool) -> list[str]:
    return [run.state for run in plan_runs(arms, results, **options)]


def test_a_run_for_each_arm_and_seed_in_order(results: Path) -> None:
    arms = [arm("first"), arm("second", optimizer=SGD(lr=0.1), seeds=(1, 0, 5))]
    planned = plan_runs(arms, results)
    assert [run.job.name for run in planned] == [
        "first · seed 0", "first · seed 1", "second · seed 1", "second · seed 0", "second · seed 5",
    ]  # fmt: skip
    assert [run.job.run_id for run in planned] == run_ids_of(arms[0]) + run_ids_of(arms[1])
    assert {run.state for run in planned} == {"missing"}
    assert not results.exists()


def test_a_run_that_two_arms_share_stands_once(results: Path) -> None:
    planned = plan_runs([arm("one"), arm("two", seeds=(1, 2))], results)
    assert [run.job.name for run in planned] == ["one · seed 0", "one · seed 1", "two · seed 2"]


def test_what_is_there_is_seen(results: Path) -> None:
    planned = plan_runs([arm(seeds=(0, 1, 2, 3, 4))], results)
    folders = [RunFolder(results, run.job.run_id) for run in planned]
    for folder in folders[1:]:
        folder.path.mkdir(parents=True)
    folders[1].checkpoint.write_bytes(b"a checkpoint")
    folders[2].write_record(record_of(planned[2]))
    folders[3].write_record(record_of(planned[3], test_reason="search"))
    folders[4].record.write_text("{")
    folders[0].path.mkdir()
    folders[0].checkpoint.with_name("checkpoint.bin.previous").write_bytes(b"the one before")
    assert states([arm(seeds=(0,))], results) == ["interrupted"]
    folders[0].discard()
    assert states([arm(seeds=(0, 1, 2, 3, 4))], results) == ["missing", "interrupted", "done", "untested", "missing"]
    assert states([arm(seeds=(3,))], results, read_test=False) == ["done"]
    assert states([arm(seeds=(2, 3))], results, force=True) == ["missing", "missing"]
    assert plan_runs([arm(seeds=(2,))], results)[0].record == record_of(planned[2])


def test_a_diverged_run_is_done(results: Path) -> None:
    (planned,) = plan_runs([arm(seeds=(0,))], results)
    folder = RunFolder(results, planned.job.run_id)
    folder.path.mkdir(parents=True)
    folder.write_record(record_of(planned, status="diverged", test_reason="diverged"))
    assert states([arm(seeds=(0,))], results) == ["done"]


def test_a_record_of_a_newer_version_is_not_trained_over(results: Path) -> None:
    (planned,) = plan_runs([arm(seeds=(0,))], results)
    folder = RunFolder(results, planned.job.run_id)
    folder.path.mkdir(parents=True)
    folder.record.write_text('{"schema": 6}')
    with pytest.raises(DataError, match="has schema 6, but this cifar-lab reads up to 5"):
        plan_runs([arm(seeds=(0,))], results)


def test_what_does_not_fit_the_data_is_told_of_every_arm(results: Path) -> None:
    batch = IMAGES.model_copy(update={"batch_size": 41})
    split = IMAGES.model_copy(update={"val_size": 36})
    whole = IMAGES.model_copy(update={"val_size": 50})
    arms = [arm("large batch", data=batch), arm("fits"), arm("large split", data=split), arm("all of it", data=whole)]
    with pytest.raises(SettingsError) as caught:
        plan_runs(arms, results)
    assert str(caught.value).splitlines() == [
        "large batch: data.batch_size: 41 is above the 40 images to train on; set at most 40",
        "large split: data.val_size: 36 takes all 4 training images of class 'disc'; the largest size that works is 30",
        "all of it: data.val_size: 50 of 40 training images leave none to train on; the largest size that works is 30",
    ]


def test_a_problem_that_many_arms_share_is_told_once(results: Path) -> None:
    batch = IMAGES.model_copy(update={"batch_size": 41})
    with pytest.raises(SettingsError) as caught:
        plan_runs([arm(f"arm {number}", data=batch) for number in range(40)], results)
    assert str(caught.value) == (
        "arm 0 and 39 more: data.batch_size: 41 is above the 40 images to train on; set at most 40"
    )


def test_a_share_is_the_number_that_it_means(results: Path) -> None:
    share, number = (IMAGES.model_copy(update={"val_size": size}) for size in (0.25, 10))
    (first,), (second,) = (plan_runs([arm("x", data=data, seeds=(0,))], results) for data in (share, number))
    assert first.job.run_id == second.job.run_id


def test_named_validation_images_are_in_the_id_by_content(results: Path, tmp_path: Path) -> None:
    def run_id(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        data = IMAGES.model_copy(update={"val_indices": str(tmp_path / name)})
        return plan_runs([arm("x", data=data, seeds=(0,))], results)[0].job.run_id

    assert run_id("a.txt", "1\n2\n") == run_id("b.txt", "1\n2\n")
    assert run_id("a.txt", "1\n2\n") != run_id("a.txt", "1\n3\n")


def test_named_validation_images_leave_some_of_each_class(results: Path, tmp_path: Path) -> None:
    labels = data.train_labels(IMAGES, data.prepare(IMAGES).fingerprint)
    path = tmp_path / "val.txt"
    path.write_text("".join(f"{index}\n" for index in np.flatnonzero(labels == 3)))
    with pytest.raises(SettingsError, match=r"val.txt: data.val_indices: the file names all training images of class"):
        plan_runs([arm("x", data=IMAGES.model_copy(update={"val_indices": str(path)}))], results)
