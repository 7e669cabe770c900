"""Transfer of prepared images between machines: packed from one cache, kept in another under their fingerprint.

<cache>/shipped/<fingerprint>/    laid out as in cache.py
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
    """A prepared data set in transfer."""

    info: DataInfo
    train: Split
    test: Split


def pack(data: Data, wanted: str) -> Cargo:
    """Pack the images with this fingerprint from this machine's cache.

    Raises:
        DataError: the source has other images now.
    """
    info = catalog.prepare(data, fingerprint=wanted)
    return Cargo(info, catalog.load_train(data, wanted), catalog.load_test(data, wanted))


def keep(cargo: Cargo, home: Path) -> None:
    """Store images in the cache `home` of this machine under their fingerprint, unless they are there intact.

    Raises:
        DataError: the images do not have their fingerprint.
        EnvironmentFault: the cache cannot be written.
    """
    info = cargo.info
    folder = _shipped(home, info.fingerprint)
    with cache.locked(folder, silent):
        if _holds(folder, info.fingerprint):
            return
        whole = Images(info.classes, cargo.train, cargo.test, own_val=info.own_val)
        if fingerprint(whole) != info.fingerprint:
            raise DataError(f"{info.name}: the images arrived damaged; run the same command again")
        cache.store(folder, {"fingerprint": info.fingerprint}, None, whole, info)


def link(data: Data, wanted: str, home: Path, into: Path) -> bool:
    """Link the images with this fingerprint from the cache `home` into the cache `into`.

    Returns whether `home` has them, under the name of their source on this machine or as `keep` stored them.
    """
    name = catalog.folder_name(data)
    for folder in (home / name, _shipped(home, wanted)):
        if _holds(folder, wanted):
            make_folder(into)
            target = into / name
            target.unlink(missing_ok=True)
            target.symlink_to(folder)
            return True
    return False


def _shipped(home: Path, wanted: str) -> Path:
    return home / "shipped" / wanted[:16]


def _holds(folder: Path, wanted: str) -> bool:
    """Whether a cache folder holds the images with this fingerprint, verified byte by byte."""
    try:
        meta = cache.read_meta(folder)
        if meta is None or meta.info.fingerprint != wanted:
            return False
        for split in ("train", "test"):
            cache.read_split(folder, meta, split)
    except Damaged:
        return False
    return True
