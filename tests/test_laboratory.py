from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cifar_lab.config import Settings
from cifar_lab.config_io import settings_from
from cifar_lab.data import imagefolder
from cifar_lab.laboratory import make_runs, preview_runs


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


def test_a_folder_of_images_is_listed_once_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_images(tmp_path / "images")
    arms, results = arms_on(tmp_path / "images"), tmp_path / "results"
    first = make_runs(arms, results, workers=1)
    listed: list[Path] = []
    really = imagefolder.in_folder

    def counted(root: Path) -> Any:
        listed.append(root)
        return really(root)

    monkeypatch.setattr(imagefolder, "in_folder", counted)
    again = make_runs(arms, results)
    assert [run.state for run in again.planned] == ["done"] * 3
    assert again.records == first.records
    assert listed == [tmp_path / "images"]
    assert preview_runs(arms, results) is not None
    assert listed == [tmp_path / "images"] * 2
