"""Image sets as strangers have them: names of split folders, tables of labels and arrays in many forms."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cifar_lab import data as images
from cifar_lab.config import ImageFolder
from cifar_lab.core.errors import DataError


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(tmp_path_factory.mktemp("cache")))


def settings(root: Path, **options: Any) -> ImageFolder:
    return ImageFolder(dataset="imagefolder", root=str(root), **options)


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng([*map(ord, str(path)[-40:])])
    Image.fromarray(chance.integers(0, 256, (32, 32, 3), np.uint8)).save(path)
    return path


def fill(root: Path, *splits: str, classes: tuple[str, ...] = ("ant", "bee"), count: int = 4) -> Path:
    for split in splits:
        for name in classes:
            for number in range(count):
                put(root / split / name / f"{number}.png")
    return root


@pytest.mark.parametrize(
    "splits",
    [
        ("TRAIN", "VALIDATION", "TEST"), ("train", "Validation", "test"), ("train", "valid", "test"),
        ("train", "dev", "test"), ("train", "eval", "test"), ("train", "validation_set", "test"),
        ("training_set", "val_set", "test_set"), ("trainset", "valset", "testset"),
        ("train_images", "val_images", "test_images"), ("Training Set", "Validation Set", "Test Set"),
        ("seg_train/seg_train", "seg_val/seg_val", "seg_test/seg_test"),
        ("deep/er/train", "deep/er/val", "deep/er/test"),
    ],
)  # fmt: skip
def test_names_of_split_folders(splits: tuple[str, ...], tmp_path: Path) -> None:
    info = images.prepare(settings(fill(tmp_path, *splits), val_folder="validation"))
    assert (info.classes, info.train_size, info.own_val, info.test_size) == (("ant", "bee"), 16, 8, 8)


def test_other_folders_are_no_splits(tmp_path: Path) -> None:
    fill(tmp_path, "train", "test", "holdout", "train_val", "test2")
    assert images.prepare(settings(tmp_path)).train_size == 8


def test_names_of_classes(tmp_path: Path) -> None:
    names = ("Löwe", "São Paulo", " x ", "a b", "0", "1", "2", "9", "10")
    info = images.prepare(settings(fill(tmp_path, "train", "test", classes=names)))
    assert info.classes == tuple(sorted(names))


ROWS = [(number, "ab"[number % 2]) for number in range(10)]


def table(header: str, row: str) -> str:
    return header + "".join(row.format(n=number, l=label) + "\n" for number, label in ROWS)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (table("Datei;Klasse\n", "{n}.png;{l}"), "utf-8"),
        (table(",filename,label\n", "{n},{n}.png,{l}"), "utf-8"),
        (table('"file","label"\n', '"{n}.png","{l}"'), "utf-8"),
        (table("path,label\n", "images/{n}.png,{l}"), "utf-8"),
        (table("path,label\n", "/home/me/set/images/{n}.png,{l}"), "utf-8"),
        (table("path,label\n", "C:\\data\\images\\{n}.png,{l}"), "utf-8"),
        (table("path,label\n", "images\\{n}.png,{l}"), "utf-8"),
        (table("file,label\n", "{n}.PNG,{l}"), "utf-8"),
        (table("file,label\n\n", "{n}.png,{l}\n"), "utf-8"),
        (table("file\tlabel\n", "{n}.png\t{l}"), "utf-16"),
        ("image,a,b\n" + "".join(f"{n},{1.0 - n % 2},{float(n % 2)}\n" for n in range(10)), "utf-8"),
    ],
)
def test_forms_of_a_table(text: str, encoding: str, tmp_path: Path) -> None:
    for number, _ in ROWS:
        put(tmp_path / "images" / f"{number}.png")
    (tmp_path / "labels.csv").write_bytes(text.encode(encoding))
    data = settings(tmp_path, test_share=0.4)
    assert images.prepare(data).classes == ("a", "b")
    labels = np.concatenate([images.load_train(data).labels, images.load_test(data).labels])
    assert np.bincount(labels).tolist() == [5, 5]


def test_a_table_that_names_no_image_is_told(tmp_path: Path) -> None:
    for number in range(10):
        put(tmp_path / "images" / f"{number}.png")
    (tmp_path / "labels.csv").write_text("file,label\nx.png,a\ny.png,b\n")
    with pytest.raises(DataError, match=r"labels.csv names no image of the data set \(its first is x.png\); correct"):
        images.prepare(settings(tmp_path, test_share=0.4))


X = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), np.uint8)
Y = np.arange(20) % 2


@pytest.mark.parametrize(
    "names",
    [
        "x_train y_train x_test y_test", "X_train Y_train X_test Y_test", "Xtr Ytr Xte Yte",
        "trainX trainY testX testY", "train_images train_labels test_images test_labels", "xtrain ytrain xtest ytest",
        "train/images train/labels test/images test/labels",
    ],
)  # fmt: skip
def test_names_of_arrays(names: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", **dict(zip(names.split(), (X, Y, X[:6], Y[:6]), strict=True)))
    data = settings(tmp_path / "set.npz")
    np.testing.assert_array_equal(images.load_train(data).images, X.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(images.load_test(data).labels, Y[:6])


def test_arrays_in_files_and_folders_of_splits(tmp_path: Path) -> None:
    for split, count in (("train", 20), ("test", 6)):
        (tmp_path / "a" / split).mkdir(parents=True)
        np.save(tmp_path / "a" / split / "images.npy", X[:count])
        np.save(tmp_path / "a" / split / "labels.npy", Y[:count])
        (tmp_path / "b").mkdir(exist_ok=True)
        np.savez(tmp_path / "b" / f"{split}.npz", x=X[:count], y=Y[:count])
    first, second = (images.prepare(settings(tmp_path / name)) for name in "ab")
    assert (first.train_size, first.test_size) == (20, 6)
    assert first.fingerprint == second.fingerprint


def test_arrays_with_transparency_are_placed_on_white(tmp_path: Path) -> None:
    alpha = np.where(np.arange(20) % 2, 255, 0).astype(np.uint8)[:, None, None, None]
    x = np.concatenate([X, np.broadcast_to(alpha, (20, 32, 32, 1))], axis=3)
    np.savez(tmp_path / "set.npz", x_train=x, y_train=Y, x_test=x[:6], y_test=Y[:6])
    found = images.load_train(settings(tmp_path / "set.npz")).images
    assert (found[0] == 255).all()
    np.testing.assert_array_equal(found[1], X[1].transpose(2, 0, 1))


def test_arrays_without_images_and_arrays_in_an_archive_are_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", x_train=X[:0], y_train=Y[:0], x_test=X, y_test=Y)
    with pytest.raises(DataError, match=r"images of train has the shape \(0, 32, 32, 3\), which is empty"):
        images.prepare(settings(tmp_path / "set.npz"))
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.write(tmp_path / "set.npz", "set.npz")
    with pytest.raises(DataError, match=r"found set.npz; unpack the arrays, and set data.root to their folder"):
        images.prepare(settings(tmp_path / "set.zip"))
