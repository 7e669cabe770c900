"""Whole runs on images of another size, with a validation folder, and with a channel that does not vary."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cifar_lab import data
from cifar_lab.config.io.load import settings_from
from cifar_lab.core.errors import EnvironmentFault, SettingsError
from cifar_lab.data.resident_split import Normalizer
from cifar_lab.execution import plan


def draw(root: Path, *, flat: bool = False) -> Path:
    chance = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 3), ("test", 4)):
        for label, name in enumerate(("ant", "bee")):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = chance.integers(100 * label, 100 * label + 100, (40, 40, 3), np.uint8)
                pixels[..., 2] = 7 if flat else pixels[..., 2]
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")
    return root


def arm(root: Path, **options: Any) -> Any:
    model = options.pop("model", {"name": "Net"})
    return settings_from(
        {
            "data": {"dataset": "imagefolder", "root": str(root), "batch_size": 8, **options},
            "model": model,
            "epochs": 1,
            "seeds": [0],
            "runtime": {"device": "cpu", "threads": 1},
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "augmented", [{}, {"flip": True, "crop_padding": 4, "policy": "randaugment", "noise_std": 0.1}]
)
@pytest.mark.parametrize(
    ("side", "model", "kernels"),
    [
        (48, {"name": "ResNet18"}, "torch"),
        (48, {"name": "Net", "input_size": 32}, "torch"),
        (32, {"name": "ResNet18", "input_size": 48}, "torch"),
    ],
)
def test_runs_on_other_sizes(
    side: int, model: dict[str, Any], kernels: str, augmented: dict[str, Any], lab: Any, tmp_path: Path
) -> None:
    record = lab.make(lab.job(arm(draw(tmp_path / "set"), image_size=side, model=model, **augmented)))
    assert record.status == "done"
    assert record.environment.kernels == kernels
    assert record.test is not None


@pytest.mark.parametrize("normalize", ["channel", "half", "none"])
def test_a_channel_without_variation_is_not_divided_by_zero(normalize: str, lab: Any, tmp_path: Path) -> None:
    record = lab.make(lab.job(arm(draw(tmp_path / "set", flat=True), normalize=normalize)))
    assert (record.status, record.reason) == ("done", None)


def test_such_a_channel_becomes_zero() -> None:
    normalizer = Normalizer.make("channel", (0.5, 0.5, 0.25), (0.2, 0.2, 0.0), torch.device("cpu"))
    images = torch.full((1, 3, 32, 32), 0.25)
    assert torch.equal(normalizer.from_unit(images)[:, 2], torch.zeros(1, 32, 32))


def test_a_validation_folder_is_the_validation_split(lab: Any, tmp_path: Path) -> None:
    root = draw(tmp_path / "set")
    for size in (0, 6):
        record = lab.make(lab.job(arm(root, val_folder="validation", val_size=size)))
        assert (record.data.train_size, record.data.val_size, record.data.test_size) == (16, 6, 8)
        assert record.val is not None
    with pytest.raises(
        SettingsError, match=r"data\.val_size: 5 is not the number of images in val/, which is 6; remove val_size"
    ):
        lab.job(arm(root, val_folder="validation", val_size=5))
    shutil.rmtree(root / "val")
    with pytest.raises(SettingsError, match=r"data\.val_folder: validation, but the images have no folder val/"):
        lab.job(arm(root, val_folder="validation"))


def test_named_validation_images_are_the_validation_split(lab: Any, tmp_path: Path) -> None:
    root = draw(tmp_path / "set")
    cut = arm(root, val_size=0.25)
    info, train = data.prepare(cut.data), data.load_train(cut.data)
    _, held_out = data.validation_split(train.labels, 4, 0, train.images)
    np.savetxt(tmp_path / "val.txt", held_out, fmt="%d")
    named = arm(root, val_indices=str(tmp_path / "val.txt"))
    assert data.validation_count(named.data, info) == 4
    first, second = (lab.make(lab.job(each)) for each in (cut, named))
    assert first.data.split_hash == second.data.split_hash
    assert first.val == second.val
    assert first.run_id != second.run_id


def test_images_that_do_not_fit_are_refused_before_the_start(
    lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "LARGE_BYTES", 1000)
    monkeypatch.setattr(plan, "available_memory", lambda: 1000)
    with pytest.raises(EnvironmentFault, match=r"16 training images of 32 × 32 pixels take .* choose a smaller"):
        lab.job(arm(draw(tmp_path / "set")))


def test_a_batch_that_does_not_fit_is_refused_before_the_start(
    lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "LARGE_BYTES", 1000)
    monkeypatch.setattr(plan, "available_memory", lambda: 1_000_000)
    large = arm(draw(tmp_path / "set"), model={"name": "ResNet18", "input_size": 224})
    with pytest.raises(EnvironmentFault, match=r"a batch of 8 of 224 × 224 pixels take .* smaller data.batch_size or"):
        lab.job(large)


@pytest.mark.parametrize("val_size", [6, 10])
def test_blank_tiles_are_told_with_their_class_and_a_size_that_works(val_size: int, lab: Any, tmp_path: Path) -> None:
    root = draw(tmp_path / "set")
    for number in range(6):
        Image.new("RGB", (32, 32)).save(root / "train/ant" / f"{number}.png")
    with pytest.raises(SettingsError) as caught:
        lab.job(arm(root, val_size=val_size))
    assert str(caught.value).endswith(
        f"data.val_size: class 'ant' has 2 images without a duplicate, {val_size // 2} are needed; the largest size "
        "that works is 4"
    )
    assert lab.make(lab.job(arm(root, val_size=4))).data.val_size == 4
