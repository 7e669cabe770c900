"""Image sets of public reports (numbered), drawn here and given to the command as their owners would."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ..conftest import Laboratory

ARM = """\
data: {{dataset: imagefolder, root: {root}, batch_size: 8{more}}}
epochs: 1
seeds: [0]
runtime: {{device: cpu, threads: 1}}
"""

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(lab: Laboratory, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """`run ROOT [OPTION…]`: (exit code, all that it printed)."""
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(tmp_path_factory.mktemp("cache")))

    def command(root: str, *options: str, more: str = "") -> tuple[int, str]:
        (lab.folder / "arm.yaml").write_text(ARM.format(root=root, more=more))
        code, out, said = lab.command("run", "arm.yaml", *options)
        return code, out + said

    return command


def draw(root: Path, *splits: str, classes: tuple[str, ...] = ("ant", "bee"), count: int = 8, ending: str = "png",
         below: str = "", **options: Any) -> Path:  # fmt: skip
    """Bright and dark noise in `split/class/`, half as many images in every split after the first."""
    for at, split in enumerate(splits):
        for label, name in enumerate(classes):
            folder = root / split / name / below
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count if at == 0 else count // 2):
                chance = np.random.default_rng([at, label, number])
                pixels = chance.integers(100 * (label % 2), 100 * (label % 2) + 100, (32, 32, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{number:02}.{ending}", **options)
    return root


@pytest.mark.slow
def test_03_black_drawings_on_a_transparent_ground(lab: Laboratory, run: Run) -> None:
    for split, count in (("train", 8), ("test", 4)):
        for name in ("disc", "stroke"):
            folder = lab.folder / "icons" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                alpha = Image.new("L", (32, 32))
                pen = ImageDraw.Draw(alpha)
                box = (number, number, number + 16, number + (16 if name == "disc" else 3))
                (pen.ellipse if name == "disc" else pen.rectangle)(box, 255)
                icon = Image.new("RGBA", (32, 32))
                icon.putalpha(alpha)
                icon.save(folder / f"{number}.png")
    code, said = run("icons", "--epochs", "20", "--lr", "0.01")
    assert code == 0
    assert "24 images have transparent pixels; they are placed on a white background" in said
    (record,) = lab.records()
    assert record.test is not None
    assert record.test.accuracy == 1.0, "the two classes differ"


@pytest.mark.slow
def test_05_a_class_whose_name_is_not_utf8(lab: Laboratory, run: Run) -> None:
    draw(lab.folder / "images", "train", "test", classes=("bee", os.fsdecode(b"caf\xe9")))
    assert run("images")[0] == 0
    assert lab.records()[0].data.classes == ("bee", "caf\\xe9")
    code, said = run("images", "--set", "label=" + os.fsdecode(b"caf\xe9"))
    assert (code, said) == (2, "cifar-lab: --set 'label=caf\\udce9': label: the text is not UTF-8\n")


def test_14_a_tar_archive(lab: Laboratory, run: Run) -> None:
    with tarfile.open(lab.folder / "images.tgz", "w:gz") as tar:
        tar.add(draw(lab.folder / "set", "train", "test"), "images")
    assert run("images.tgz")[0] == 0
    assert (lab.records()[0].data.train_size, lab.records()[0].data.test_size) == (16, 8)


def test_15_tiny_imagenet(lab: Laboratory, run: Run) -> None:
    root, names = lab.folder / "tiny-imagenet-200", ("n01443537", "n01629819")
    draw(root, "train", classes=names, count=4, ending="JPEG", below="images")
    for name in names:
        (root / "train" / name / f"{name}_boxes.txt").write_text("00.JPEG\t0\t62\t32\t63\n")
    for split in ("val", "test"):
        (root / split / "images").mkdir(parents=True)
        for number in range(2):
            picture = Image.new("RGB", (64, 64), (9, 90 * number, 50 if split == "val" else 5))
            picture.save(root / split / "images" / f"{split}_{number}.JPEG")
    rows = "".join(f"val_{number}.JPEG\t{name}\t0\t32\t44\t62\n" for number, name in enumerate(names))
    (root / "val" / "val_annotations.txt").write_text(rows)
    code, said = run("tiny-imagenet-200")
    assert code == 0
    assert "test/ has no classes, so the labelled val/ is the test split" in said
    assert (lab.records()[0].data.train_size, lab.records()[0].data.test_size) == (8, 2)


def test_16_all_broken_images_are_named_at_once(lab: Laboratory, run: Run) -> None:
    root = draw(lab.folder / "images", "train", "test", ending="jpg", quality=90)
    broken = [root / "train" / "ant" / f"{number:02}.jpg" for number in range(5)]
    for path in broken:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    code, said = run("images")
    assert code == 3
    (line,) = (line for line in said.splitlines() if line.startswith("cifar-lab: "))
    assert line.startswith(f"cifar-lab: {root}: 5 files are damaged: train/ant/00.jpg (")
    assert all(f"train/ant/{path.name}" in line for path in broken)


def test_18_train_and_val(lab: Laboratory, run: Run) -> None:
    root = draw(lab.folder / "two", "train", "val")
    code, said = run("two")
    assert (code, said.splitlines()[-1]) == (
        3,
        f"cifar-lab: {root}: no test/ folder; found train/, val/; rename val/ to test/, or set data.val_folder: test",
    )


@pytest.mark.slow
def test_18_splits_in_capitals_and_all_three(lab: Laboratory, run: Run) -> None:
    draw(lab.folder / "capitals", "Train", "Test")
    assert run("capitals")[0] == 0
    root = draw(lab.folder / "three", "train", "val", "test")
    code, said = run("three")
    assert code == 0
    assert f"note: {root}: val/ is ignored; to use its images, set data.val_folder to validation or test" in said
    assert run("three", more=", val_folder: validation")[0] == 0
    assert sorted(record.data.val_size for record in lab.records()) == [0, 0, 8]


def test_20_blank_tiles(lab: Laboratory, run: Run) -> None:
    root = draw(lab.folder / "images", "train", "test", count=20)
    for name in ("ant", "bee"):
        for number in range(18):
            Image.new("RGB", (32, 32), "white").save(root / "train" / name / f"{number:02}.png")
    code, said = run("images", more=", val_size: 10")
    assert (code, said.splitlines()[-1]) == (
        2,
        "cifar-lab: arm: data.val_size: class 'ant' has 2 images without a duplicate, 5 are needed; the largest size "
        "that works is 4",
    )


@pytest.mark.slow
def test_27_odd_files_that_work(lab: Laboratory, run: Run) -> None:
    classes = ("train", "test", " a b ", "2", "10", "日本")
    root = draw(lab.folder / "images", "train", "test", classes=classes, ending="PNG")
    (root / "train" / "2" / ".ipynb_checkpoints").mkdir()
    (root / "train" / "2" / ".ipynb_checkpoints" / "00-checkpoint.PNG").write_bytes(b"a copy")
    picture, other = Image.new("RGB", (32, 32), "red"), Image.new("RGB", (32, 32), "blue")
    picture.convert("CMYK").save(root / "train" / "10" / "00.jpg")
    (root / "train" / "10" / "00.PNG").unlink()
    for name, kind, options in (("01", "MPO", {"save_all": True, "append_images": [other]}), ("02", "PNG", {})):
        content = io.BytesIO()
        picture.save(content, kind, **options)
        (root / "train" / "10" / f"{name}.jpg").write_bytes(content.getvalue())
        (root / "train" / "10" / f"{name}.PNG").unlink()
    assert run("images")[0] == 0
    (record,) = lab.records()
    assert (len(record.data.classes), record.data.train_size) == (6, 48)


SWEEP = """\
base: arm.yaml
space: {{optimizer.lr: [1e-4, 1e-3], optimizer.weight_decay: [0.0, 0.1]}}
search: {{top: 1, confirm_seeds: [100]{more}}}
"""


def test_21_a_search_whose_validation_split_does_not_fit(lab: Laboratory, run: Run) -> None:
    draw(lab.folder / "images", "train", "test")
    (lab.folder / "arm.yaml").write_text(ARM.format(root="images", more=""))
    (lab.folder / "sweep.yaml").write_text(SWEEP.format(more=", val_size: 5000"))
    told = (
        "cifar-lab: sweep: search.val_size: 5,000 of 16 training images leave none to train on; the largest size that "
        "works is 14\n"
    )
    assert lab.command("sweep", "sweep.yaml", "--dry-run")[::2] == (2, told), "before the images are read"
    assert lab.command("sweep", "sweep.yaml")[::2] == (2, told)
    assert lab.command("sweep", "sweep.yaml", "--dry-run")[::2] == (2, told)


@pytest.mark.slow
@pytest.mark.parametrize(("more", "size"), [("", 2), (", val_size: 0.25", 4)])
def test_21_a_search_on_a_small_set(more: str, size: int, lab: Laboratory, run: Run) -> None:
    draw(lab.folder / "images", "train", "test")
    (lab.folder / "arm.yaml").write_text(ARM.format(root="images", more=""))
    (lab.folder / "sweep.yaml").write_text(SWEEP.format(more=more))
    assert lab.command("sweep", "sweep.yaml")[0] == 0
    searched = [record for record in lab.records() if record.test_reason == "search"]
    assert {record.data.val_size for record in searched} == {size}
    code, out, _ = lab.command("sweep", "sweep.yaml")
    assert (code, "to train" in out) == (0, False), "the same runs the next time"
