"""Cache of decoded data sets: a folder of verified arrays per instance. Only this module knows its file names.

    $CIFAR_LAB_CACHE or ~/.cache/cifar-lab
        downloads/                          archives fetched for cifar10 and cifar100
        <name>-<key>/  meta.json            content of the folder, its source, size and SHA-256 of each file
                       train_images.npy     uint8 (N, 3, 32, 32)
                       train_labels.npy     int64 (N,)
                       test_images.npy, test_labels.npy
        <name>-<key>.lock                   held while the folder is being made

A folder appears complete, by one rename. Every file is hashed and compared before it is used.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from cifar_lab.core.atomic_io import new_file, new_folder, remove_folder, rename
from cifar_lab.core.errors import DataError, EnvironmentFault
from cifar_lab.core.files import UnsuitableFileError, read_document
from cifar_lab.data.arrays import Damaged, FileMark, fault, read_array, write_array
from cifar_lab.data.splits import DataInfo, Images, Progress, Source, Split

FORMAT = 1
"""Version of the folder's layout. It is part of the folder's name, so versions can coexist."""

SplitName: TypeAlias = Literal["train", "test"]
SPLITS: tuple[SplitName, SplitName] = ("train", "test")


class Meta(BaseModel):
    """meta.json: content of the folder and its source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    info: DataInfo
    key: dict[str, Any]
    """Source key that names the folder."""
    state: dict[str, Any] | None
    """State of the source when it was read."""
    files: dict[str, FileMark]


def home() -> Path:
    """`$CIFAR_LAB_CACHE`, else `cifar-lab` in `$XDG_CACHE_HOME` or `~/.cache`. Absolute, may not exist yet.

    Raises:
        EnvironmentFault: no variable is set and this user has no home folder.
    """
    chosen = os.environ.get("CIFAR_LAB_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    if Path(xdg).is_absolute():  # the XDG specification: a relative path is to be ignored
        return Path(xdg) / "cifar-lab"
    try:
        return Path.home() / ".cache" / "cifar-lab"
    except RuntimeError as error:
        raise EnvironmentFault("no home folder for the cache; set CIFAR_LAB_CACHE to a folder") from error


def folder_of(source: Source) -> Path:
    """Cache folder of one instance of a data set."""
    key = json.dumps([FORMAT, source.name, source.key()], sort_keys=True)
    return home() / f"{source.name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def read_meta(folder: Path) -> Meta | None:
    """Read meta.json and check the sizes of its files. None if the folder does not exist.

    Raises:
        Damaged: meta.json is damaged, or a file is missing or has another size.
        EnvironmentFault: the folder is not readable.
    """
    path = folder / "meta.json"
    try:
        document = json.loads(read_document(path))
        if hashlib.sha256(_canonical(document["meta"])).hexdigest() != document["sha256"]:
            raise Damaged(f"{path}: its checksum does not match")
        meta = Meta.model_validate(document["meta"])
        for name, mark in meta.files.items():
            found = (folder / name).stat().st_size
            if found != mark.bytes:
                raise Damaged(f"{folder / name}: {found:,} bytes, expected {mark.bytes:,}")
    except (FileNotFoundError, NotADirectoryError) as error:
        if folder.is_dir():
            raise Damaged(f"{error.filename}: missing") from error
        return None
    except (UnsuitableFileError, IsADirectoryError) as error:
        raise Damaged(f"{path}: {error.strerror}") from error
    except OSError as error:
        raise fault(path, error) from error
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise Damaged(f"{path}: not the JSON that cifar-lab wrote") from error
    return meta


def read_split(folder: Path, meta: Meta, split: SplitName) -> Split:
    """Read one split. Opens no file of the other.

    Raises:
        Damaged: a file differs in size or SHA-256 from meta.json, or holds another kind of array.
        EnvironmentFault: a file is not readable.
    """
    images = read_array(folder / f"{split}_images.npy", meta.files.get(f"{split}_images.npy"))
    labels = read_array(folder / f"{split}_labels.npy", meta.files.get(f"{split}_labels.npy"))
    size = meta.info.train_size if split == "train" else meta.info.test_size
    shape = (size, 3, meta.info.side, meta.info.side)
    if images.dtype != np.uint8 or images.shape != shape:
        raise Damaged(f"{folder / split}_images.npy: {images.dtype} {images.shape}, expected uint8 {shape}")
    if labels.dtype != np.int64 or labels.shape != (size,):
        raise Damaged(f"{folder / split}_labels.npy: {labels.dtype} {labels.shape}, expected int64 {(size,)}")
    return Split(images, labels)


def read_labels(folder: Path, fingerprint: str) -> NDArray[np.int64]:
    """Labels of the training split of the images with this fingerprint.

    Raises:
        Damaged: the file is missing or damaged, or belongs to other images.
        EnvironmentFault: a file is not readable.
    """
    meta = read_meta(folder)
    if meta is None or meta.info.fingerprint != fingerprint:
        raise Damaged(f"{folder}: holds other images")
    return read_array(folder / "train_labels.npy", meta.files.get("train_labels.npy"))


def damage(folder: Path) -> str | None:
    """First damage of a cache folder, as text. None if every file has its SHA-256.

    Raises:
        EnvironmentFault: the folder is not readable.
    """
    try:
        if (meta := read_meta(folder)) is not None:
            read_split(folder, meta, "train")
            read_split(folder, meta, "test")
    except Damaged as fault:
        return str(fault)
    return None


def store(folder: Path, key: Mapping[str, Any], state: dict[str, Any] | None, images: Images, info: DataInfo) -> Meta:
    """Write a folder under a temporary name and rename it. The caller holds the lock.

    Raises:
        DataError: the source gave arrays of another kind, or labels without a class.
        EnvironmentFault: the cache cannot be written.
    """
    for split in (images.train, images.test):
        _check(info, split)
    temporary = folder.with_name(f".{folder.name}.new")
    old = folder.with_name(f".{folder.name}.old")
    arrays: dict[str, NDArray[Any]] = {
        "train_images.npy": images.train.images,
        "train_labels.npy": images.train.labels,
        "test_images.npy": images.test.images,
        "test_labels.npy": images.test.labels,
    }
    try:
        for leftover in (temporary, old):  # of a process that was killed
            remove_folder(leftover)
        new_folder(temporary)
        files = {name: write_array(temporary / name, array) for name, array in arrays.items()}
        meta = Meta(info=info, key=dict(key), state=state, files=files)
        plain = meta.model_dump(mode="json")
        text = json.dumps({"meta": plain, "sha256": hashlib.sha256(_canonical(plain)).hexdigest()}, indent=1)
        with new_file(temporary / "meta.json") as file:
            file.write(text.encode())
        if folder.exists():
            rename(folder, old)
        rename(temporary, folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise fault(folder, error) from error
    with suppress(OSError):
        remove_folder(old)
    return meta


@contextmanager
def locked(folder: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock of one folder, so that one process prepares it while others wait.

    The lock is the kernel's (flock), so it is released when its holder dies.

    Raises:
        EnvironmentFault: the lock file cannot be made.
    """
    path = folder.with_name(f"{folder.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise fault(path.parent, error) from error
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                progress("waiting for another process that prepares the same images", 0, 0)
                time.sleep(0.05)
            except OSError as error:
                raise fault(path, error) from error
        yield
    finally:
        os.close(descriptor)


def _check(info: DataInfo, split: Split) -> None:
    """Raise `DataError` for arrays that would be trained on wrongly."""
    name, size, side, classes = info.name, len(split.labels), info.side, len(info.classes)
    if split.images.dtype != np.uint8 or split.images.shape != (size, 3, side, side) or size == 0:
        raise DataError(
            f"{name}: images are {split.images.dtype} {split.images.shape}, expected uint8 (N, 3, {side}, {side})"
        )
    if split.labels.dtype != np.int64 or split.labels.min() < 0 or split.labels.max() >= classes:
        raise DataError(f"{name}: labels are not int64 from 0 to {classes - 1}")


def _canonical(plain: Any) -> bytes:
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()
