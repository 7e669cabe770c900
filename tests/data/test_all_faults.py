"""A data set with thirty faults of twenty-seven kinds is refused once, and each of them is named."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cifar_lab import data as images
from cifar_lab.config import ImageFolder
from cifar_lab.core.errors import DataError
from cifar_lab.data.file_tree import FolderTree


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(tmp_path_factory.mktemp("cache")))


def settings(root: Path, **options: Any) -> ImageFolder:
    return ImageFolder(dataset="imagefolder", root=str(root), **options)


def refusal(root: Path, **options: Any) -> list[str]:
    with pytest.raises(DataError) as caught:
        images.prepare(settings(root, **options))
    return [line.removeprefix(f"{root}: ") for line in str(caught.value).splitlines()]


def put(path: Path, size: tuple[int, int] = (32, 32)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng([*map(ord, path.parent.name + path.name)])
    Image.fromarray(chance.integers(0, 256, (*size, 3), np.uint8)).save(path)
    return path


def fill(root: Path) -> Path:
    for split in ("train", "test"):
        for name in ("ant", "bee", "cow"):
            for number in range(3):
                put(root / split / name / f"{split}{number}.png")
    return root


def break_folder(root: Path) -> None:
    """Faults of a folder."""
    ant, bee, cow = (root / "train" / name for name in ("ant", "bee", "cow"))
    (ant / "empty.png").touch()
    (ant / "cut.png").write_bytes(put(ant / "cut.png").read_bytes()[:1500])
    (ant / "page.jpg").write_text("<!DOCTYPE html><title>404 Not Found</title>")
    (ant / "pointer.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    (ant / "more.zip").write_bytes(b"PK\3\4")
    (ant / "film.mp4").write_bytes(b"film")
    Image.new("1", (20_000, 10_000)).save(bee / "bomb.png")
    Image.fromarray(np.ones((32, 32), np.float32)).save(bee / "float.tiff")
    (bee / "gone.png").symlink_to("nowhere.png")
    (bee / "self.png").symlink_to("self.png")
    (bee / "loop").symlink_to(root / "train")
    os.mkfifo(bee / "pipe.png")
    (bee / "folder.jpg").mkdir()
    with (bee / "vast.png").open("wb") as file:
        file.truncate(100 << 20)
    put(cow / "private.png")
    put(root / "train" / "loose.png")
    (root / "train" / "none").mkdir()
    put(root / "train" / "only" / "0.png")
    put(root / "train" / "Dog" / "0.png")
    put(root / "test" / "dog" / "0.png")
    put(root / "train" / "elk " / "0.png")
    put(root / "test" / "elk" / "0.png")
    put(root / "test" / "foreign" / "0.png")


FOLDER = [
    "2 files or folders cannot be read: train/bee/gone.png (No such file or directory), train/bee/self.png (Too many "
    "levels of symbolic links); check the folder of data.root",
    "train/bee/loop is a link to a folder above it; remove it",
    "train/ant/film.mp4 is not an image file (.bmp, .gif, .jpeg, .jpg, .pbm, .pgm, .png, .ppm, .tif, .tiff, .webp); "
    "remove it",
    "train/ant/more.zip is an archive within the data set; unpack it",
    "train/bee/folder.jpg is a folder without images, although its name is that of an image; remove it",
    "train/loose.png belongs to no class; move it to a folder <class>/ beside it",
    "class 'none' has no images in train/; add images or remove the folder",
    "2 classes have two spellings: 'Dog' in train/, 'dog' in test/, 'elk ' in train/, 'elk' in test/; use one of them",
    "2 classes are in one split only: 'only' (in train/ but not in test/), 'foreign' (in test/ but not in train/); "
    "both need the same classes",
    "train/ant/cut.png is damaged (image file is truncated); repair or remove it",
    "train/ant/empty.png is empty; fetch it again or remove it",
    "train/ant/page.jpg is a web page and not an image; fetch it again",
    "train/ant/pointer.png is a pointer of Git LFS; fetch the image with git lfs pull",
    "train/bee/bomb.png has 200,000,000 pixels, at most 40,000,000 are read; remove it or save it smaller",
    "train/bee/float.tiff has 32 bits per channel, whose range is not known; save it with 8",
    "2 files cannot be read: train/bee/pipe.png (it is a named pipe, not a file), train/cow/private.png (Permission "
    "denied); check them",
    "train/bee/vast.png has 104,857,600 bytes, at most 67,108,864 are read; remove it",
]


def unreadable(tree: FolderTree, entry: Any, read: Any = FolderTree.read) -> bytes:
    """`FolderTree.read` for a user who may not read one file. The superuser of a container may read all."""
    if entry.path.endswith("private.png"):
        raise PermissionError(13, "Permission denied")
    content: bytes = read(tree, entry)
    return content


def test_all_faults_of_a_folder_are_named_in_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    break_folder(fill(tmp_path))
    monkeypatch.setattr(FolderTree, "read", unreadable)
    assert refusal(tmp_path) == [f"{len(FOLDER)} kinds of faults:", *(f"  - {line}" for line in FOLDER)]


def test_all_faults_of_a_table_are_named_in_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With those of the folder, thirty faults."""
    break_folder(fill(tmp_path))
    monkeypatch.setattr(FolderTree, "read", unreadable)
    shutil.rmtree(tmp_path / "test")
    names = ("ant", "bee", "cow", "Dog", "elk ", "none", "only")
    rows = ["file,label"]
    for number in range(14):
        put(tmp_path / "test" / f"{number}.png")
        rows.append(f"{number}.png,{names[number % 7]}")
    put(tmp_path / "test" / "forgotten.png")
    rows += ["missing.png,ant", "0.png,bee", "1.png", "2.png,caf\xe9"]
    (tmp_path / "test" / "labels.csv").write_bytes("\n".join(rows).encode("latin-1"))
    heading, *lines = refusal(tmp_path)
    table = [
        "test/labels.csv:19 is not UTF-8; save the table as UTF-8",
        "test/labels.csv:18 has no label; add it or remove the row",
        "test/labels.csv names missing.png, which does not exist; remove the row",
        "2 files have two labels: 0.png (test/labels.csv), 2.png (test/labels.csv); keep one each",
        "test/forgotten.png has no label in test/labels.csv; add it or remove the image",
    ]
    assert {f"  - {line}" for line in table} <= set(lines)
    left = {f"  - {line}" for line in FOLDER if "classes" not in line}
    assert left <= set(lines)
    assert heading == f"{len(lines)} kinds of faults:"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("encrypted", "train/ant/train0.png cannot be unpacked (it is encrypted); create the archive again"),
        ("nested", "train/ant/inner.zip is an archive within the data set; unpack it"),
        ("outside", "../train/ant/evil.png leads out of the archive; create the archive again"),
        ("twice", "contains train/bee/train1.png twice; create the zip file again"),
    ],
)
def test_faults_of_an_archive(change: str, words: str, tmp_path: Path) -> None:
    root, path = fill(tmp_path / "set"), tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*.png")):
            archive.write(file, file.relative_to(root))
        archive.writestr("__MACOSX/train/ant/._train0.png", b"left by a desktop")
        archive.writestr("train/ant/Thumbs.db", b"left by a desktop")
        archive.writestr("train/.DS_Store", b"left by a desktop")
        if change in ("nested", "outside"):
            archive.writestr({"nested": "train/ant/inner.zip", "outside": "../train/ant/evil.png"}[change], b"x")
    if change == "twice":
        with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("train/bee/train1.png", b"x")
    if change == "encrypted":
        content = bytearray(path.read_bytes())
        at = content.index(b"PK\1\2", content.index(b"PK\1\2"))
        while content[at + 46 : at + 66] != b"train/ant/train0.png":
            at = content.index(b"PK\1\2", at + 4)
        content[at + 8] |= 1  # the flag of encryption in the list of members
        path.write_bytes(content)
    (line,) = refusal(path)
    assert line.startswith(words)


def test_what_is_lossy_is_said_once_per_kind(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = fill(tmp_path)
    frames = [Image.new("RGB", (32, 32), (40 * at, 9, 9)) for at in range(3)]
    for number in range(5):
        frames[0].save(root / f"train/ant/a{number}.gif", save_all=True, append_images=frames[1:])
    Image.new("CMYK", (32, 32), (3, 4, 5, 6)).save(root / "train/ant/cmyk.jpg")
    Image.fromarray(np.full((32, 32), 40_000, np.uint16)).save(root / "train/bee/deep.png")
    put(root / "train/bee/point.png", (1, 1))
    put(root / "train/bee/wide.png", (32, 64))
    Image.new("RGBA", (32, 32), (9, 9, 9, 0)).save(root / "train/cow/glass.png")
    shutil.copy(root / "train/cow/train1.png", root / "test/cow/same.png")
    (root / "train/cow/notes.txt").write_text("left aside")
    images.prepare(settings(root))
    assert [record.getMessage().removeprefix(f"note: {root}: ") for record in caplog.records] == [
        "train/cow/notes.txt is not an image and is ignored",
        "5 images have several frames; the first is used: train/ant/a0.gif, train/ant/a1.gif, train/ant/a2.gif and 2 "
        "more",
        "train/ant/cmyk.jpg is in CMYK without a colour profile; its colours are approximate",
        "train/bee/deep.png has 16 bits per channel; it is reduced to the upper 8",
        "train/bee/point.png has fewer than 4 rows or columns and shows next to nothing",
        "2 images have another size; they are resized: train/bee/point.png, train/bee/wide.png",
        "train/bee/wide.png is not square; resizing changes its proportions",
        "train/cow/glass.png has transparent pixels; it is placed on a white background",
        "1 of 10 test images are equal to a training image; accuracy on them shows no generalisation",
    ]
