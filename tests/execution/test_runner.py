from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cifar_lab import data
from cifar_lab.config import Settings
from cifar_lab.config.io.load import settings_from
from cifar_lab.core.errors import DataError
from cifar_lab.data import imagefolder
from cifar_lab.data.file_tree import FolderTree
from cifar_lab.execution.context import RunContext, Silent
from cifar_lab.execution.runner import make_runs, preview_runs
from cifar_lab.store.results import RunFolder
from cifar_lab.training.events import Event, RunStarted
from cifar_lab.training.job import Job


def draw_images(root: Path) -> None:
    """Two classes of four training images and two test images."""
    for split, size in (("train", 4), ("test", 2)):
        for shade, name in enumerate(("ant", "bee")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(size):
                Image.new("RGB", (32, 32), (40 * shade, 9 * number, 7)).save(folder / f"{number}.png")


def arms_on(root: Path) -> list[Settings]:
    """Three arms on the same folder, which differ in how it is cut and augmented."""
    values: dict[str, Any] = {"epochs": 1, "seeds": [0], "runtime": {"device": "cpu"}}
    changes: list[dict[str, Any]] = [{}, {"flip": True}, {"batch_size": 4}]
    return [
        settings_from({**values, "data": {"dataset": "imagefolder", "root": str(root), "batch_size": 8, **change}})
        for change in changes
    ]


@pytest.mark.slow
def test_a_folder_of_images_is_listed_once_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_images(tmp_path / "images")
    arms, results = arms_on(tmp_path / "images"), tmp_path / "results"
    first = make_runs(arms, RunContext(results, workers=1))
    listed: list[Path] = []

    class Counted(FolderTree):
        def __init__(self, root: Path) -> None:
            super().__init__(root)
            listed.append(root)

    monkeypatch.setattr(imagefolder, "FolderTree", Counted)
    again = make_runs(arms, RunContext(results))
    assert [run.state for run in again.planned] == ["done"] * 3
    assert again.records == first.records
    assert listed == [tmp_path / "images"]
    assert preview_runs(arms, RunContext(results)) is not None
    assert listed == [tmp_path / "images"] * 2


class Listener(Silent):
    """Keeps the labels of runs in the order in which they were begun."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def event(self, job: Job, event: Event) -> None:
        if isinstance(event, RunStarted):
            self.begun.append(job.settings.label)


@pytest.mark.slow
def test_what_takes_longest_is_begun_first_as_guessed_or_as_measured(lab: Any) -> None:
    arms = [
        lab.settings("label=short", "epochs=1", "seeds=[0,1]"),
        lab.settings("label=long", "epochs=2", "seeds=[0,1]"),
    ]
    listener = Listener()
    place = RunContext(lab.results, workers=1, display=listener)
    first = make_runs([arm.model_copy(update={"seeds": (0,)}) for arm in arms], place)
    assert listener.begun == ["long", "short"]
    for record, seconds in zip(first.records, (600.0, 1.0), strict=True):
        RunFolder(lab.results, record.run_id).write_record(record.model_copy(update={"train_seconds": seconds}))
    listener = Listener()
    made = make_runs(arms, replace(place, display=listener))
    assert listener.begun == ["short", "long"]
    assert [(record.label, record.seed) for record in made.records] == [
        ("short", 0), ("short", 1), ("long", 0), ("long", 1),
    ]  # fmt: skip


@pytest.mark.slow
def test_images_are_prepared_in_a_process_of_their_own(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(lab.folder / "cache"))
    monkeypatch.setattr(data.catalog, "_make", lambda *given: pytest.fail("they were prepared in the parent"))
    told: list[str] = []
    listener = Listener()
    monkeypatch.setattr(listener, "preparing", lambda what, done, total: told.append(what))
    made = make_runs([lab.settings("epochs=1", "data.data_seed=77")], RunContext(lab.results, display=listener))
    assert len(made.records) == 1
    assert "drawing images" in told


def test_images_that_cannot_be_prepared_are_told_as_they_would_be_here(lab: Any) -> None:
    arm = lab.settings("data.dataset=imagefolder", f"data.root={lab.folder}/none")
    with pytest.raises(DataError, match="none: ") as told:
        make_runs([arm], RunContext(lab.results))
    assert "\n" not in str(told.value)
    assert not lab.results.exists()
