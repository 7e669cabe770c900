"""Batches laid out by hand in the files of CIFAR: pickles and the binary version, in folders and archives."""

from __future__ import annotations

import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cifar_lab import data as images
from cifar_lab.config import Cifar10, ImageFolder
from cifar_lab.core.errors import DataError

from .conftest import FakeCifar

PIXELS = np.random.default_rng(0).integers(0, 256, (48, 3072), np.uint8)
LABELS = np.arange(48) % 10
NAMES = [f"kind {number}" for number in range(10)]


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(tmp_path_factory.mktemp("cache")))


def settings(root: Path, **options: Any) -> ImageFolder:
    return ImageFolder(dataset="imagefolder", root=str(root), **options)


def lay_pickles(root: Path) -> Path:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for number, name in enumerate([*(f"data_batch_{batch}" for batch in range(1, 6)), "test_batch"]):
        part = slice(8 * number, 8 * number + 8)
        batch = {b"data": PIXELS[part], b"labels": LABELS[part].tolist(), b"batch_label": b"made by hand"}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": NAMES}))
    return folder


def lay_binary(root: Path) -> Path:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for number, name in enumerate([*(f"data_batch_{batch}.bin" for batch in range(1, 6)), "test_batch.bin"]):
        part = slice(8 * number, 8 * number + 8)
        rows = np.concatenate([LABELS[part, None].astype(np.uint8), PIXELS[part]], axis=1)
        (folder / name).write_bytes(rows.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    return folder


@pytest.mark.parametrize("lay", [lay_pickles, lay_binary])
@pytest.mark.parametrize("place", ["folder", "parent", "archive"])
def test_batches_are_read_wherever_they_are(lay: Callable[[Path], Path], place: str, tmp_path: Path) -> None:
    root = lay(tmp_path / "set")
    if place == "archive":
        with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
            tar.add(root, root.name)
    data = settings({"folder": root, "parent": root.parent, "archive": tmp_path / "x.tar.gz"}[place])
    info = images.prepare(data)
    assert (info.classes, info.train_size, info.test_size) == (tuple(NAMES), 40, 8)
    train, test = images.load_train(data), images.load_test(data)
    np.testing.assert_array_equal(train.images.reshape(40, -1), PIXELS[:40])
    np.testing.assert_array_equal(test.labels, LABELS[40:])


def test_the_binary_version_of_cifar_100_has_two_labels(tmp_path: Path) -> None:
    for name, part in (("train.bin", slice(0, 40)), ("test.bin", slice(40, 48))):
        coarse = np.full((len(LABELS[part]), 1), 99, np.uint8)
        rows = np.concatenate([coarse, LABELS[part, None].astype(np.uint8), PIXELS[part]], axis=1)
        (tmp_path / name).write_bytes(rows.tobytes())
    data = settings(tmp_path)
    assert images.prepare(data).classes == tuple(map(str, range(10)))
    np.testing.assert_array_equal(images.load_train(data).labels, LABELS[:40])


def test_both_versions_have_one_fingerprint(tmp_path: Path) -> None:
    first, second = (images.prepare(settings(lay(tmp_path / lay.__name__))) for lay in (lay_pickles, lay_binary))
    assert first.fingerprint == second.fingerprint


class Code:
    def __reduce__(self) -> Any:
        return (exec, ("raise SystemExit(7)",))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickle.dumps(Code()), "it holds builtins.exec, which is code"),
        (pickle.dumps({"data": PIXELS}), "it has data and not data and labels"),
        (pickle.dumps([1]), "it holds no dictionary"),
        (b"half", "data_batch_3 is not a batch of CIFAR"),
        (pickle.dumps({"data": PIXELS, "labels": [1, 2]}), "has 48 images and 2 labels; expected"),
    ],
)
def test_a_file_that_is_no_batch_is_refused_and_runs_no_code(content: bytes, words: str, tmp_path: Path) -> None:
    (lay_pickles(tmp_path) / "data_batch_3").write_bytes(content)
    with pytest.raises(DataError) as caught:
        images.prepare(settings(tmp_path))
    assert words in str(caught.value)


def test_cifar_10_is_found_where_the_root_is_its_folder(tmp_path: Path, fake_cifar10: FakeCifar) -> None:
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(fake_cifar10.archive)
    roots = tmp_path, tmp_path / "cifar-10-python.tar.gz", tmp_path / "cifar-10-batches-py"
    assert {images.prepare(Cifar10(root=str(root))).train_size for root in roots} == {20}
