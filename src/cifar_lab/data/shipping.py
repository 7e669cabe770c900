"""Prepared images that are sent to another machine: taken from one cache, kept in another under their fingerprint.

<cache>/shipped/<fingerprint>/    as cache.py has them
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cifar_lab.config import Data
from cifar_lab.core.atomic_io import make_folder
from cifar_lab.core.errors import DataError
from cifar_lab.data import cache, catalog
from cifar_lab.data.arrays import Damaged
from cifar_lab.data.splits import DataInfo, Images, Split, fingerprint, silent


@dataclass(frozen=True)
class Cargo:
    """A prepared data set as it travels."""

    info: DataInfo
    train: Split
    test: Split


def pack(data: Data, wanted: str) -> Cargo:
    """The images of that fingerprint from this machine's cache.

    Raises:
        DataError: the source has other images by now.
    """
    info = catalog.prepare(data, fingerprint=wanted)
    return Cargo(info, catalog.load_train(data, wanted), catalog.load_test(data, wanted))


def keep(cargo: Cargo, home: Path) -> None:
    """Put images into the cache `home` of this machine, under their fingerprint, if they are not there whole.

    Raises:
        DataError: they are not the images of their fingerprint.
        EnvironmentFault: the cache cannot be written.
    """
    info = cargo.info
    folder = _shipped(home, info.fingerprint)
    with cache.locked(folder, silent):
        if _holds(folder, info.fingerprint):
            return
        whole = Images(info.classes, cargo.train, cargo.test)
        if fingerprint(whole) != info.fingerprint:
            raise DataError(f"{info.name}: the images arrived damaged; give the same command again")
        cache.store(folder, {"fingerprint": info.fingerprint}, None, whole, info)


def link(data: Data, wanted: str, home: Path, into: Path) -> bool:
    """Make the images of that fingerprint known in the cache `into`, where the cache `home` has them.

    They are found under the name that their source has here, or as they were kept.
    """
    name = catalog.folder_name(data)
    for folder in (home / name, _shipped(home, wanted)):
        if _holds(folder, wanted):
            make_folder(into)
            place = into / name
            place.unlink(missing_ok=True)
            place.symlink_to(folder)
            return True
    return False


def _shipped(home: Path, wanted: str) -> Path:
    return home / "shipped" / wanted[:16]


def _holds(folder: Path, wanted: str) -> bool:
    """Whether a folder of the cache holds the images of that fingerprint, byte by byte."""
    try:
        meta = cache.read_meta(folder)
        if meta is None or meta.info.fingerprint != wanted:
            return False
        for split in ("train", "test"):
            cache.read_split(folder, meta, split)
    except Damaged:
        return False
    return True
