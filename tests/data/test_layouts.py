"""Layouts as people have them: split folders in any case, one folder, tables of labels, arrays, archives."""

from __future__ import annotations

import io
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cifar_lab import data as images
from cifar_lab.config import Cifar10, ImageFolder
from cifar_lab.core.errors import DataError, EnvironmentFault, SettingsError
from cifar_lab.data import archives, image_files, shipping

from .conftest import FakeCifar


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache outside the folders of the tests, which are data sets."""
    home = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(home))
    return home


def settings(root: Path, **options: Any) -> ImageFolder:
    return ImageFolder(dataset="imagefolder", root=str(root), **options)


def put(path: Path, number: int = 0) -> Path:
    """An image of its own colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng([number, *map(ord, path.name), *map(ord, path.parent.name)])
    kind = "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG"
    Image.fromarray(chance.integers(0, 256, (32, 32, 3), np.uint8)).save(path, kind)
    return path


def fill(root: Path, *splits: str, classes: tuple[str, ...] = ("ant", "bee"), count: int = 3) -> Path:
    for at, split in enumerate(splits):
        for name in classes:
            for number in range(count):
                put(root / split / name / f"{number}.png", at)
    return root


def refusal(*arguments: Any, **options: Any) -> list[str]:
    with pytest.raises(DataError) as caught:
        images.prepare(settings(*arguments, **options))
    first, *sentences = str(caught.value).splitlines()
    if not sentences:
        return [first]
    assert first == f"{arguments[0]}: {len(sentences)} kinds of faults:"
    return [each.replace("  - ", f"{arguments[0]}: ", 1) for each in sentences]


def notes(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


# --- folders of splits


@pytest.mark.parametrize(
    ("train", "test"), [("Train", "Test"), ("TRAIN", "test"), ("training", "testing"), ("Training", "TEST")]
)
def test_splits_in_any_case(train: str, test: str, tmp_path: Path) -> None:
    info = images.prepare(settings(fill(tmp_path / "set", train, test)))
    assert (info.train_size, info.test_size, info.classes) == (6, 6, ("ant", "bee"))


def test_exact_names_count_before_others(tmp_path: Path) -> None:
    fill(tmp_path, "Train", "Test", classes=("cat", "dog"))
    fill(tmp_path / "inner", "train", "test")
    assert images.prepare(settings(tmp_path)).classes == ("ant", "bee")


@pytest.mark.parametrize("val", ["val", "Valid", "validation"])
def test_train_and_val_are_told_apart_from_train_and_test(val: str, tmp_path: Path) -> None:
    root = fill(tmp_path, "train", val)
    found = ", ".join(sorted(["train/", f"{val}/"]))
    assert refusal(root) == [
        f"{root}: no test/ folder; found {found}; rename {val}/ to test/, or set data.val_folder: test"
    ]
    assert images.prepare(settings(root, val_folder="test")).test_size == 6


def test_a_third_folder_is_left_aside_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = fill(tmp_path, "train", "val", "test")
    info = images.prepare(settings(root))
    assert (info.train_size, info.test_size, info.own_val) == (6, 6, 0)
    assert notes(caplog) == [
        f"note: {root}: val/ is ignored; to use its images, set data.val_folder to validation or test"
    ]


def test_a_third_folder_as_validation_split(tmp_path: Path) -> None:
    root = fill(tmp_path, "train", "val", "test")
    info = images.prepare(settings(root, val_folder="validation"))
    assert (info.train_size, info.test_size, info.own_val) == (12, 6, 6)
    aside = images.prepare(settings(root))
    assert info.fingerprint != aside.fingerprint
    with_val, without = (images.load_train(settings(root, **o)) for o in ({"val_folder": "validation"}, {}))
    np.testing.assert_array_equal(with_val.images[:6], without.images)


def test_images_with_a_validation_folder_are_shipped_whole(tmp_path: Path) -> None:
    data = settings(fill(tmp_path / "set", "train", "val", "test"), val_folder="validation")
    info = images.prepare(data)
    shipping.keep(shipping.pack(data, info.fingerprint), tmp_path / "there")
    assert shipping.link(data, info.fingerprint, tmp_path / "there", tmp_path / "work")


def test_one_folder_is_split_by_the_lab(tmp_path: Path) -> None:
    root = fill(tmp_path, ".", count=10)
    (found,) = refusal(root)
    assert found.startswith(f"{root}: no train/ and no test/ folder; found ant/, bee/; expected train/<class>/")
    assert found.endswith("or set data.test_share (0.2, say) to cut a test split from these images")
    info = images.prepare(settings(root, test_share=0.2))
    assert (info.train_size, info.test_size) == (16, 4)
    assert np.bincount(images.load_test(settings(root, test_share=0.2)).labels).tolist() == [2, 2]


def test_a_share_that_leaves_no_image_of_a_class(tmp_path: Path) -> None:
    root = fill(tmp_path, ".", count=2)
    with pytest.raises(SettingsError, match=r"data\.test_share: 4 of 4 training images leave none"):
        images.prepare(settings(root, test_share=0.9))


def test_tiny_imagenet(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("n01", "n02"):
        for number in range(3):
            put(tmp_path / "train" / name / "images" / f"{name}_{number}.JPEG")
        (tmp_path / "train" / name / f"{name}_boxes.txt").write_text(f"{name}_0.JPEG\t0\t0\t9\t9\n")
    for number in range(4):
        put(tmp_path / "val/images" / f"val_{number}.JPEG")
        put(tmp_path / "test/images" / f"test_{number}.JPEG")
    rows = "".join(f"val_{number}.JPEG\tn0{number % 2 + 1}\t0\t0\t9\t9\n" for number in range(4))
    (tmp_path / "val/val_annotations.txt").write_text(rows)
    (tmp_path / "wnids.txt").write_text("n01\nn02\n")
    info = images.prepare(settings(tmp_path))
    assert (info.train_size, info.test_size, info.classes) == (6, 4, ("n01", "n02"))
    assert images.load_test(settings(tmp_path)).labels.tolist() == [0, 0, 1, 1]
    assert [line.removeprefix(f"note: {tmp_path}: ") for line in notes(caplog)] == [
        "2 files are not images and are ignored: train/n01/n01_boxes.txt, train/n02/n02_boxes.txt",
        "test/ has no classes, so the labelled val/ is the test split",
    ]


def test_a_test_folder_without_classes(tmp_path: Path) -> None:
    root = fill(tmp_path, "train", count=10)
    for number in range(4):
        put(root / "test" / f"{number}.png")
    (found,) = refusal(root)
    assert found.startswith(f"{root}: test/ has no class of train/")
    info = images.prepare(settings(root, test_share=0.2))
    assert (info.train_size, info.test_size) == (16, 4)


# --- tables of labels


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("file,label\n", "images/{name}.png,{label}\n"),
        ("", "{name}.png,{label}\n"),
        ("id;class\n", "{name};{label}\n"),
        ("label\tfilename\n", "{label}\t{name}.png\n"),
        ("", "{name}.png {label}\n"),
        ("Image_Path,Width,Label\n", "./images/{name}.png,32,{label}\n"),
    ],
)
def test_a_table_of_file_and_label(header: str, row: str, tmp_path: Path) -> None:
    for number in range(10):
        put(tmp_path / "images" / f"{number}.png")
    rows = "".join(row.format(name=number, label="ab"[number % 2]) for number in range(10))
    (tmp_path / "labels.csv").write_text(header + rows, encoding="utf-8-sig")
    info = images.prepare(settings(tmp_path, test_share=0.4))
    assert (info.classes, info.train_size, info.test_size) == (("a", "b"), 6, 4)


def test_a_table_with_a_column_of_splits(tmp_path: Path) -> None:
    rows = "path,class,split\n"
    for number in range(12):
        put(tmp_path / "pictures" / f"{number}.png")
        rows += f"{number}.png,{'ab'[number % 2]},{('train', 'test', 'valid')[number // 2 % 3]}\n"
    (tmp_path / "meta.csv").write_text(rows)
    assert images.prepare(settings(tmp_path)).train_size == 4
    info = images.prepare(settings(tmp_path, val_folder="validation"))
    assert (info.train_size, info.own_val, info.test_size) == (8, 4, 4)


def test_a_table_per_split(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for number in range(4):
            put(tmp_path / "all" / f"{split}{number}.png")
        rows = "".join(f"{split}{number}.png,{'ab'[number % 2]}\n" for number in range(4))
        (tmp_path / f"{split}.csv").write_text("filename,label\n" + rows)
    info = images.prepare(settings(tmp_path))
    assert (info.train_size, info.test_size, info.classes) == (4, 4, ("a", "b"))


def test_labels_beside_the_folder_as_kaggle_has_them(tmp_path: Path) -> None:
    for number in range(1, 11):
        put(tmp_path / "train" / f"{number}.png")
        put(tmp_path / "test" / f"{number}.png", 1)
    rows = "".join(f"{number},{['cat', 'dog'][number % 2]}\n" for number in range(1, 11))
    (tmp_path / "trainLabels.csv").write_text("id,label\n" + rows)
    info = images.prepare(settings(tmp_path, test_share=0.2))
    assert (info.classes, info.train_size, info.test_size) == (("cat", "dog"), 8, 2)


def test_a_table_and_its_files_that_differ(tmp_path: Path) -> None:
    for number in range(10):
        put(tmp_path / "images" / f"{number}.png")
    rows = "".join(f"{number}.png,{'ab'[number % 2]}\n" for number in range(9))
    (tmp_path / "labels.csv").write_text(f"file,label\n{rows}99.png,a\n0.png,b\n")
    assert refusal(tmp_path, test_share=0.2) == [
        f"{tmp_path}: labels.csv names 99.png, which does not exist; remove the row",
        f"{tmp_path}: labels.csv gives 0.png two labels; keep one",
        f"{tmp_path}: images/9.png has no label in labels.csv; add it or remove the image",
    ]


# --- names


def test_names_that_look_alike_are_one_class(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    fill(tmp_path, "train", classes=(composed, "tea"))
    fill(tmp_path, "test", classes=(decomposed, "tea"))
    assert images.prepare(settings(tmp_path)).classes == (composed, "tea")
    assert "spelled in two ways that look alike" in notes(caplog)[0]


def test_one_spelling_keeps_its_name_and_so_its_fingerprint(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "café")
    fill(tmp_path, "train", "test", classes=(decomposed, "tea"))
    assert images.prepare(settings(tmp_path)).classes == (decomposed, "tea")


def test_names_that_differ_in_case_are_said(tmp_path: Path) -> None:
    fill(tmp_path, "train", classes=("Ant", "bee"))
    fill(tmp_path, "test", classes=("ant", "bee"))
    assert refusal(tmp_path) == [
        f"{tmp_path}: 'Ant' in train/, 'ant' in test/ is one class in two spellings; use one of them"
    ]


def test_a_name_that_is_not_utf8_is_shown_with_an_escape(tmp_path: Path) -> None:
    fill(tmp_path, "train", "test", classes=("bee", "caf\udce9"))
    info = images.prepare(settings(tmp_path))
    assert info.classes == ("bee", "caf\\xe9")
    info.classes[1].encode()


# --- notes


def test_equal_images_in_train_and_test_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = fill(tmp_path, "train", "test")
    (root / "test/ant/0.png").write_bytes((root / "train/ant/1.png").read_bytes())
    info = images.prepare(settings(root))
    assert info.notes == ("1 of 6 test images are equal to a training image; accuracy on them shows no generalisation",)
    assert notes(caplog) == [f"note: {root}: {info.notes[0]}"]
    caplog.clear()
    images.prepare(settings(root))
    assert notes(caplog) == [], "once per data set"


# --- archives


def tar_of(root: Path, path: Path, mode: str, prefix: str = "") -> Path:
    with tarfile.open(path, mode) as tar:
        for file in sorted(root.rglob("*"), reverse=True):
            tar.add(file, prefix + str(file.relative_to(root)), recursive=False)
    return path


@pytest.mark.parametrize("prefix", ["", "./", "deep/er/"])
@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar_archives_have_the_fingerprint_of_their_folder(mode: str, prefix: str, tmp_path: Path) -> None:
    root = fill(tmp_path / "set", "train", "test")
    path = tar_of(root, tmp_path / "images.bin", mode, prefix)
    assert images.prepare(settings(path)).fingerprint == images.prepare(settings(root)).fingerprint


def test_a_tar_of_the_old_kind_and_with_hard_links(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", "train", "test")
    (root / "train/ant/link.png").hardlink_to(root / "train/ant/0.png")
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        tar.add(root, "set")
    assert images.prepare(settings(tmp_path / "x.tar")).train_size == 7
    content = bytearray((tmp_path / "x.tar").read_bytes())
    assert content[257:262] == b"ustar"


@pytest.mark.parametrize("keep", [0.5, 0.9])
@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_half_a_tar_is_refused(mode: str, keep: float, tmp_path: Path) -> None:
    path = tar_of(fill(tmp_path / "set", "train", "test"), tmp_path / "x.tar", mode)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    assert any("damaged tar archive" in line or "cannot be unpacked" in line for line in refusal(path))


def test_a_tar_whose_headers_lie_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 1 << 20)
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 1 << 33
    (tmp_path / "x.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 16))
    (line,) = refusal(tmp_path / "x.tar")
    assert "is a damaged tar archive (a header of more than 1,048,576 bytes)" in line


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"Rar!\x1a\x07\x00", "a RAR archive"),
        (b"\x28\xb5\x2f\xfd", "Zstandard"),
    ],
)
def test_archives_that_python_does_not_read_are_named(start: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(start + bytes(600))
    (line,) = refusal(tmp_path / "x.zip")
    assert words in line
    assert line.endswith("; unpack it and set data.root to the folder")


def test_archives_in_an_archive_are_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in ("train.zip", "test.zip"):
            archive.writestr(name, b"")
    (line,) = refusal(tmp_path / "x.zip")
    assert "found test.zip, train.zip; unpack the archives in it, or set data.root to one that holds both; " in line


def zip_of(root: Path, path: Path, rename: Callable[[str], str], *, utf8: bool = True) -> Path:
    """A zip whose names are written as they are given, without the flag of UTF-8 where `utf8` is false."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*.png")):
            info = zipfile.ZipInfo("placeholder")
            info.filename = rename(str(file.relative_to(root)))
            archive.writestr(info, file.read_bytes())
    if not utf8:
        content = bytearray(path.read_bytes())
        for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            start = -1
            while (start := content.find(signature, start + 1)) >= 0:
                content[start + at + 1] &= ~0x08
        path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "rename",
    [lambda name: name, lambda name: f"./{name}", lambda name: name.replace("/", "\\"), lambda name: f"a/{name}"],
)
def test_zips_by_other_tools(rename: Callable[[str], str], tmp_path: Path) -> None:
    root = fill(tmp_path / "set", "train", "test")
    path = zip_of(root, tmp_path / "x.zip", rename)
    assert images.prepare(settings(path)).fingerprint == images.prepare(settings(root)).fingerprint


@pytest.mark.parametrize("utf8", [True, False])
def test_names_of_a_zip_in_utf8_with_and_without_its_flag(utf8: bool, tmp_path: Path) -> None:
    root = fill(tmp_path / "set", "train", "test", classes=("日本", "ñandú"))
    path = zip_of(root, tmp_path / "x.zip", lambda name: name, utf8=utf8)
    assert images.prepare(settings(path)).fingerprint == images.prepare(settings(root)).fingerprint


def test_paths_that_lead_out_of_the_archive_are_refused(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", "train", "test")
    path = zip_of(root, tmp_path / "x.zip", lambda name: name)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../train/ant/evil.png", b"")
    told = "../train/ant/evil.png leads out of the archive; create the archive again"
    assert refusal(path) == [f"{path}: {told}"]
    path = tar_of(root, tmp_path / "x.tar", "w")
    with tarfile.open(path, "a") as tar:
        tar.add(root / "train/ant/0.png", "../train/ant/evil.png")
    assert refusal(path) == [f"{path}: {told}"]


# --- arrays


def arrays(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    return chance.integers(0, 256, (count, 32, 32, 3), np.uint8), np.arange(count) % 2


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"), ("train_images", "train_labels", "test_images", "test_labels"),
        ("X_train", "Y_train", "X_test", "Y_test"), ("trainData", "trainLabels", "testData", "testLabels"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_arrays_of_both_splits(kind: str, names: tuple[str, ...], tmp_path: Path) -> None:
    train, test = arrays(10), arrays(4, 1)
    named = dict(zip(names, (*train, *test), strict=True))
    if kind == "npz":
        np.savez_compressed(tmp_path / "set.npz", **named)
    else:
        for name, array in named.items():
            np.save(tmp_path / f"{name}.npy", array)
    data = settings(tmp_path / "set.npz" if kind == "npz" else tmp_path)
    assert images.prepare(data).classes == ("0", "1")
    np.testing.assert_array_equal(images.load_train(data).images, train[0].transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(images.load_test(data).labels, test[1])


@pytest.mark.parametrize(
    "stored",
    [
        lambda x: x, lambda x: x.transpose(0, 3, 1, 2), lambda x: x.astype(np.float32) / 255,
        lambda x: x.astype(np.int64), lambda x: x.transpose(0, 3, 1, 2).reshape(len(x), -1),
        lambda x: np.asfortranarray(x),
    ],
)  # fmt: skip
def test_arrays_in_other_forms(stored: Callable[[np.ndarray], np.ndarray], tmp_path: Path) -> None:
    x, y = arrays(10)
    np.savez(tmp_path / "set.npz", x_train=stored(x), y_train=y[:, None], x_test=stored(x[:4]), y_test=np.eye(2)[y[:4]])
    data = settings(tmp_path / "set.npz")
    np.testing.assert_array_equal(images.load_train(data).images, x.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(images.load_test(data).labels, y[:4])


def test_grey_arrays_of_another_size_as_mnist(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (10, 28, 28), np.uint8)
    y = np.arange(10) % 2
    np.savez(tmp_path / "mnist.npz", x_train=x, y_train=y, x_test=x[:2], y_test=y[:2])
    found = images.load_train(settings(tmp_path / "mnist.npz")).images
    assert found.shape == (10, 3, 32, 32)
    assert (found[:, 0] == found[:, 2]).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x_train": np.full((10, 32, 32, 3), -1.0)}, "has values from -1 to -1; save uint8 from 0 to 255"),
        ({"x_train": np.full((10, 32, 32, 3), np.nan)}, "has values that are not finite"),
        ({"y_train": np.arange(9)}, "train has 10 images and 9 labels"),
        ({"x_train": np.zeros((10, 32, 32, 7), np.uint8)}, "has 7 channels; expected 1, 3 or 4"),
        ({"y_train": np.array([{}] * 10)}, "Python objects, which are code"),
    ],
)
def test_arrays_that_cannot_be_used(changes: dict[str, np.ndarray], words: str, tmp_path: Path) -> None:
    x, y = arrays(10)
    np.savez(tmp_path / "set.npz", **{"x_train": x, "y_train": y, "x_test": x[:2], "y_test": y[:2], **changes})
    (line,) = refusal(tmp_path / "set.npz")
    assert words in line


def test_an_array_that_lies_about_its_size(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": (10**12, 32, 32, 3)})
    (tmp_path / "x_train.npy").write_bytes(buffer.getvalue())
    (line,) = refusal(tmp_path / "x_train.npy")
    assert "cannot be read as arrays" in line


def test_cifar_10_1_as_other_images_to_test_on(tmp_path: Path, fake_cifar10: FakeCifar) -> None:
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(fake_cifar10.archive)
    x, y = arrays(6)
    np.save(tmp_path / "cifar10.1_v6_data.npy", x)
    np.save(tmp_path / "cifar10.1_v6_labels.npy", y + 3)
    data = Cifar10(root=str(tmp_path), test_root=str(tmp_path / "cifar10.1_v6_data.npy"))
    plain = images.prepare(Cifar10(root=str(tmp_path)))
    info = images.prepare(data)
    assert (info.test_size, info.classes) == (6, plain.classes)
    assert info.fingerprint != plain.fingerprint
    test = images.load_test(data)
    np.testing.assert_array_equal(test.images, x.transpose(0, 3, 1, 2))
    assert test.labels.tolist() == [3, 4, 3, 4, 3, 4]


def test_cifar_10_c_has_one_file_of_labels_for_all(tmp_path: Path) -> None:
    x, y = arrays(6)
    for name in ("fog", "snow"):
        np.save(tmp_path / f"{name}.npy", x)
    np.save(tmp_path / "labels.npy", y)
    root = fill(tmp_path / "set", "train", "test", classes=("0", "1"))
    data = settings(root, test_root=str(tmp_path / "fog.npy"))
    np.testing.assert_array_equal(images.load_test(data).labels, y)
    (line,) = refusal(tmp_path / "nothing.npy")
    assert "no such folder or archive" in line


def test_a_folder_of_the_same_classes_to_test_on(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", "train", "test")
    other = fill(tmp_path / "other", ".", count=5)
    assert images.prepare(settings(root, test_root=str(other))).test_size == 10
    with pytest.raises(DataError, match="wasp: no classes of imagefolder; they are ant, bee"):
        images.prepare(settings(root, test_root=str(fill(tmp_path / "third", ".", classes=("ant", "wasp")))))


# --- sizes


def test_another_size_is_another_set(tmp_path: Path) -> None:
    root = fill(tmp_path, "train", "test")
    small, large = (images.prepare(settings(root, image_size=size)) for size in (32, 48))
    assert small.fingerprint == images.prepare(settings(root)).fingerprint != large.fingerprint
    assert images.load_train(settings(root, image_size=48)).images.shape == (6, 3, 48, 48)


def test_images_that_do_not_fit_into_memory_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_files, "available_memory", lambda: 100_000)
    with pytest.raises(EnvironmentFault, match="12 images of 224 × 224 take"):
        images.prepare(settings(fill(tmp_path, "train", "test"), image_size=224))
