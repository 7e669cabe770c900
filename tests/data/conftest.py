"""A cache of its own for each test, and small sources of every kind."""

from __future__ import annotations

import hashlib
import io
import pickle
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifar_lab.config import Cifar10, Cifar100, Data, ImageFolder, Synthetic
from cifar_lab.data import cifar


@pytest.fixture(autouse=True)
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "cache"
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(home))
    return home


def draw_folder(root: Path, train: int = 3, test: int = 2, classes: tuple[str, ...] = ("ant", "bee", "cow")) -> Path:
    """`root/pics/train/<class>/NN.png` and the same for test; exact colours, no two images alike."""
    random = np.random.default_rng(5)
    for split, count in (("train", train), ("test", test)):
        for name in classes:
            folder = root / "pics" / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{index:02}.png")
    return root


def zip_folder(root: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*"), reverse=True):  # the order inside must not matter
            archive.write(file, file.relative_to(root))
    return path


@dataclass
class FakeCifar:
    """A small archive in the form of the published ones."""

    archive: bytes
    train_images: np.ndarray
    train_labels: list[int]


def patch_cifar(name: str, monkeypatch: pytest.MonkeyPatch) -> FakeCifar:
    """Make an archive of 20 + 10 images and put its checksums in the place of the published ones."""
    import torchvision

    archive = cifar.ARCHIVES[name]
    kind = torchvision.datasets.CIFAR10 if name == "cifar10" else torchvision.datasets.CIFAR100
    key = "labels" if name == "cifar10" else "fine_labels"
    random = np.random.default_rng(7)
    files, pixels, labels = {}, [], []
    for member in archive.members[:-1]:
        count = 10 if "test" in member else 20 // (len(archive.members) - 2)
        data = random.integers(0, 256, (count, 3072), dtype=np.uint8)
        classes = random.integers(0, 10, count).tolist()
        files[member] = pickle.dumps({"data": data, key: classes}, protocol=2)
        if "test" not in member:
            pixels.append(data)
            labels += classes
    names = [f"{name} class {index}" for index in range(10)]
    files[archive.members[-1]] = pickle.dumps({kind.meta["key"]: names}, protocol=2)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for member, content in files.items():
            info = tarfile.TarInfo(f"{archive.folder}/{member}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))

    def md5(member: str) -> str:
        return hashlib.md5(files[member]).hexdigest()

    monkeypatch.setattr(kind, "train_list", [[m, md5(m)] for m in archive.members[:-1] if "test" not in m])
    monkeypatch.setattr(kind, "test_list", [[m, md5(m)] for m in archive.members if "test" in m])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5(archive.members[-1])})
    sha256 = hashlib.sha256(buffer.getvalue()).hexdigest()
    monkeypatch.setitem(cifar.ARCHIVES, name, replace(archive, sha256=sha256, url="http://127.0.0.1:9/none"))
    return FakeCifar(buffer.getvalue(), np.concatenate(pixels).reshape(-1, 3, 32, 32), labels)


@pytest.fixture
def fake_cifar10(monkeypatch: pytest.MonkeyPatch) -> FakeCifar:
    return patch_cifar("cifar10", monkeypatch)


@dataclass
class Example:
    """A data set with its images at hand."""

    data: Data
    remove_source: Callable[[], None]
    has_source: bool = True


@pytest.fixture(params=["cifar10", "cifar100", "folder", "zip", "synthetic"])
def example(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Example:
    kind = request.param
    source = tmp_path / "source"
    if kind in ("cifar10", "cifar100"):
        source.mkdir()
        archive = source / cifar.ARCHIVES[kind].file_name
        archive.write_bytes(patch_cifar(kind, monkeypatch).archive)
        data: Data = Cifar10(root=str(source)) if kind == "cifar10" else Cifar100(dataset=kind, root=str(source))
        return Example(data, lambda: shutil.rmtree(source))
    if kind == "folder":
        return Example(ImageFolder(dataset="imagefolder", root=str(draw_folder(source))), lambda: shutil.rmtree(source))
    if kind == "zip":
        path = zip_folder(draw_folder(source), tmp_path / "source.zip")
        return Example(ImageFolder(dataset="imagefolder", root=str(path)), path.unlink)
    return Example(Synthetic(dataset="synthetic", train_size=37, test_size=23), lambda: None, has_source=False)
