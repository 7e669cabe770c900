"""The cache under damage, faults of the disk, and more than one process."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cifar_lab import data as images
from cifar_lab.config import ImageFolder, Synthetic
from cifar_lab.core.errors import DataError, EnvironmentFault
from cifar_lab.data import cache
from cifar_lab.data.imagefolder import ImageFolderSource
from cifar_lab.data.splits import DataInfo, Images, Split

from .conftest import draw_folder, zip_folder

FILES = ["train_images.npy", "train_labels.npy", "test_images.npy", "test_labels.npy", "meta.json"]


@pytest.fixture
def small(tmp_path):
    """A zip with its cache made, and that cache's folder."""
    path = zip_folder(draw_folder(tmp_path / "source"), tmp_path / "source.zip")
    data = ImageFolder(dataset="imagefolder", root=str(path))
    images.prepare(data)
    return data, path, cache.folder_of(ImageFolderSource(data))


def flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_is_named_and_mended(small, caplog, name):
    data, _, folder = small
    good = (folder / name).read_bytes()
    flip_bit(folder / name)
    images.load_train(data)
    images.load_test(data)
    assert [record.message.partition(": ")[0] for record in caplog.records] == [str(folder / name)]
    assert caplog.records[0].message.endswith("; the images are prepared again")
    assert (folder / name).read_bytes() == good


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("left", [0, 100, None])
def test_a_cut_or_missing_file_is_named_and_made_again(small, caplog, name, left):
    data, _, folder = small
    good = (folder / name).read_bytes()
    if left is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(good[:left])
    assert images.known(data) is None
    images.prepare(data)
    assert caplog.records[0].message.startswith(f"{folder / name}: ")
    assert (folder / name).read_bytes() == good


def test_a_damaged_file_without_its_source_says_what_was_expected_and_found(small):
    data, path, folder = small
    expected = hashlib.sha256((folder / "train_images.npy").read_bytes()).hexdigest()
    flip_bit(folder / "train_images.npy")
    found = hashlib.sha256((folder / "train_images.npy").read_bytes()).hexdigest()
    path.unlink()
    with pytest.raises(DataError) as caught:
        images.load_train(data)
    assert str(caught.value) == (
        f"{folder / 'train_images.npy'}: SHA-256 is {found}, expected {expected}; it cannot be made again: "
        f"{path}: no such folder or archive; check data.root"
    )


def test_a_fingerprint_edited_in_meta_json_is_not_believed(small):
    data, _, folder = small
    right = images.known(data).fingerprint
    document = json.loads((folder / "meta.json").read_text())
    document["meta"]["info"]["fingerprint"] = "0" * 64
    (folder / "meta.json").write_text(json.dumps(document))
    assert images.known(data) is None
    assert images.prepare(data).fingerprint == right


def test_a_changed_source_is_read_again(small, tmp_path):
    data, path, _ = small
    before = images.known(data)
    zip_folder(draw_folder(tmp_path / "other", train=4), path)
    assert images.known(data) is None
    after = images.prepare(data)
    assert (before.train_size, after.train_size) == (9, 12)
    assert before.fingerprint != after.fingerprint


def test_a_source_that_changes_while_it_is_read_is_refused(small, tmp_path):
    data, path, _ = small
    os.utime(path, ns=(1, 1))

    def meddle(what: str, done: int, total: int) -> None:
        os.utime(path, ns=(2, 2))

    with pytest.raises(DataError, match="the images changed while they were read; run again when they are complete"):
        images.prepare(data, meddle)


def test_leftovers_of_a_killed_process_are_swept(small):
    data, _, folder = small
    (folder / "meta.json").unlink()
    for suffix in ("new", "old"):
        leftover = folder.with_name(f".{folder.name}.{suffix}")
        leftover.mkdir()
        (leftover / "junk").write_bytes(b"junk")
    images.prepare(data)
    assert sorted(p.name for p in folder.parent.iterdir()) == [folder.name, f"{folder.name}.lock"]


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(EnvironmentFault) as caught:
        images.prepare(Synthetic(dataset="synthetic", train_size=10, test_size=10))
    assert str(caught.value) == (
        f"{tmp_path / 'file' / 'cache'}: Not a directory; make it readable and writable, "
        "or set CIFAR_LAB_CACHE to another folder for prepared images"
    )
    assert caught.value.exit_code == 4


def test_a_write_that_fails_leaves_nothing_behind(cache_home):
    data = Synthetic(dataset="synthetic", train_size=100, test_size=10)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # the kernel refuses to write a larger file
    try:
        with pytest.raises(EnvironmentFault, match=r"File too large; .*CIFAR_LAB_CACHE"):
            images.prepare(data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p.suffix for p in cache_home.iterdir()] == [".lock"]
    assert images.prepare(data).train_size == 100


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (Split(np.zeros((4, 3, 32, 32), np.uint8), np.array([0, 1, 2, 0])), "odd: labels are not int64 from 0 to 1"),
        (Split(np.zeros((4, 3, 32, 32), np.uint8), np.array([0, 1, -1, 0])), "odd: labels are not int64 from 0 to 1"),
        (Split(np.zeros((4, 32, 32, 3), np.uint8), np.zeros(4, np.int64)),
         "odd: images are uint8 (4, 32, 32, 3), expected uint8 (N, 3, 32, 32)"),
        (Split(np.zeros((0, 3, 32, 32), np.uint8), np.zeros(0, np.int64)),
         "odd: images are uint8 (0, 3, 32, 32), expected uint8 (N, 3, 32, 32)"),
    ],
)  # fmt: skip
def test_arrays_of_another_kind_are_never_stored(tmp_path, split, message):
    good = Split(np.zeros((4, 3, 32, 32), np.uint8), np.zeros(4, np.int64))
    info = DataInfo("odd", ("a", "b"), 4, 4, "", False, (0, 0, 0), (0, 0, 0))
    with pytest.raises(DataError) as caught:
        cache.store(tmp_path / "odd", {}, None, Images(("a", "b"), good, split), info)
    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []


def test_where_the_cache_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CIFAR_LAB_CACHE", "~/mine")
    assert cache.home() == tmp_path / "mine"
    monkeypatch.delenv("CIFAR_LAB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.home() == tmp_path / "xdg" / "cifar-lab"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache.home() == tmp_path / ".cache" / "cifar-lab"


PREPARE = """
import os, signal, sys
from cifar_lab import data
from cifar_lab.config import ImageFolder

def progress(what, done, total):
    if what not in seen:
        seen.append(what)
        print(what, flush=True)
        if len(sys.argv) > 2 and what == sys.argv[2]:
            os.kill(os.getpid(), signal.SIGKILL)

seen = []
info = data.prepare(ImageFolder(dataset="imagefolder", root=sys.argv[1]), progress)
print(info.fingerprint, "torch" in sys.modules)
"""


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", PREPARE, *arguments], stdout=subprocess.PIPE, text=True)


def test_of_two_processes_one_decodes_and_the_other_waits(tmp_path):
    path = zip_folder(draw_folder(tmp_path / "source"), tmp_path / "source.zip")
    folder = cache.folder_of(ImageFolderSource(ImageFolder(dataset="imagefolder", root=str(path))))
    folder.parent.mkdir()
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        processes = [start(str(path)), start(str(path))]
        for process in processes:
            assert process.stdout.readline() == "waiting for another process that prepares the same images\n"
    outputs = sorted(process.communicate(timeout=60)[0].splitlines() for process in processes)
    assert [process.returncode for process in processes] == [0, 0]
    fingerprint = images.known(ImageFolder(dataset="imagefolder", root=str(path))).fingerprint
    assert sorted(outputs, key=len) == [
        [f"{fingerprint} False"],
        ["decoding images", "writing the cache", f"{fingerprint} False"],
    ]


def test_a_process_killed_while_it_prepares_holds_nobody_up(tmp_path):
    path = zip_folder(draw_folder(tmp_path / "source"), tmp_path / "source.zip")
    process = start(str(path), "writing the cache")
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    calls = []
    images.prepare(ImageFolder(dataset="imagefolder", root=str(path)), lambda what, *_: calls.append(what))
    assert calls == ["decoding images", "writing the cache"]
