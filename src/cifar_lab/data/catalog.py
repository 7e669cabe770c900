"""Data sets by name, prepared once into the cache and loaded from there as arrays in memory.

info = prepare(settings.data)       # decodes, downloads or draws the images once
train = load_train(settings.data)   # uint8 (N, 3, 32, 32), int64 (N,)
test = load_test(settings.data)     # read once, after training

No module of this package but `batches`, `augment` and `random_streams` needs torch. `cifar` imports it in a function.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from cifar_lab.config import Data
from cifar_lab.config.components import makers
from cifar_lab.config.roles import source_key
from cifar_lab.core.errors import DataError, EnvironmentFault
from cifar_lab.data import cache
from cifar_lab.data.arrays import Damaged
from cifar_lab.data.splits import DataInfo, Progress, Source, Split, describe, silent

LOG = logging.getLogger(__name__)

DATASETS: dict[str, Callable[[Any], Source]] = makers("data", __package__)
"""`data.dataset` and the class that reads it, made from its section of the settings."""


def known(data: Data, fingerprint: str | None = None) -> DataInfo | None:
    """The facts of a data set whose cache is there and as new as its source; None where `prepare` is needed.

    Neither network nor pixels are touched: meta.json, file sizes and the source's sizes and times. A source that is
    gone does not make a good cache bad. Images of a `fingerprint` are known by it, whatever became of the source.

    Raises:
        EnvironmentFault: the cache may not be read.
    """
    source = _source(data)
    try:
        meta = cache.read_meta(cache.folder_of(source))
    except Damaged:
        return None
    if meta is None:
        return None
    if fingerprint is not None:
        return meta.info if meta.info.fingerprint == fingerprint else None
    return meta.info if source.state() in (None, meta.state) else None


def prepare(data: Data, progress: Progress | None = None, *, fingerprint: str | None = None) -> DataInfo:
    """Make the cache where it is missing, damaged or older than its source. Asking twice does nothing.

    Args:
        data: the data section of the settings.
        progress: called with what is being done, how much is done and how much there is (0: not known).
        fingerprint: of the images that are meant; where the cache holds them the source is not looked at.

    Raises:
        DataError: the images are missing, broken or not what they say.
        EnvironmentFault: the cache cannot be read or written.
    """
    found = known(data, fingerprint)
    if found is not None:
        return found
    source = _source(data)
    with cache.locked(cache.folder_of(source), progress or silent):
        return known(data) or _make(source, progress or silent)


class DatasetCatalog:
    """`known` and `prepare` for one command: a source is looked at once, however many arms share it.

    To look at a folder is to list it, which takes about a second for 60,000 files.
    """

    def __init__(self) -> None:
        self._infos: dict[str, DataInfo] = {}

    def known(self, data: Data) -> DataInfo | None:
        """As `known`."""
        key = source_key(data)
        if key not in self._infos and (found := known(data)) is not None:
            self._infos[key] = found
        return self._infos.get(key)

    def prepare(self, data: Data, progress: Progress | None = None) -> DataInfo:
        """As `prepare`."""
        key = source_key(data)
        if key not in self._infos:
            self._infos[key] = prepare(data, progress)
        return self._infos[key]


def folder_name(data: Data) -> str:
    """The name that a data set's folder has in every cache."""
    return cache.folder_of(_source(data)).name


def load_train(data: Data, fingerprint: str | None = None) -> Split:
    """The training split, prepared first if need be. No file of the test split is opened.

    Args:
        data: the data section of the settings.
        fingerprint: `DataInfo.fingerprint` of the images that are meant; others are refused.

    Raises:
        DataError, EnvironmentFault: as `prepare`; DataError also for images of another fingerprint.
    """
    return _load(data, "train", fingerprint)


def load_test(data: Data, fingerprint: str | None = None) -> Split:
    """The test split: read once, after training. Arguments and errors as `load_train`."""
    return _load(data, "test", fingerprint)


def _source(data: Data) -> Source:
    source: Source = DATASETS[data.dataset](data)
    return source


def _make(source: Source, progress: Progress, damage: Damaged | None = None) -> DataInfo:
    """Read the source and fill the cache. With the lock held."""
    folder = cache.folder_of(source)
    if damage is None:
        try:
            cache.read_meta(folder)
        except Damaged as found:
            damage = found
    if damage is not None:
        LOG.warning("%s; the images are prepared again", damage)
    state = source.state()
    try:
        images = source.read(progress)
    except DataError as error:
        if damage is None:
            raise
        raise DataError(f"{damage}; it cannot be made again: {error}") from error
    if source.state() != state:
        raise DataError(f"{source.name}: the images changed while they were read; run again when they are complete")
    progress("writing the cache", 0, 0)
    info = describe(source.name, images, synthetic=source.synthetic)
    return cache.store(folder, source.key(), state, images, info).info


def _load(data: Data, split: cache.SplitName, fingerprint: str | None) -> Split:
    """One split of the images with that fingerprint, the cache mended where it is damaged."""
    source = _source(data)
    folder = cache.folder_of(source)
    wanted = fingerprint or prepare(data).fingerprint
    try:
        return _read(source, split, wanted)
    except Damaged:
        pass
    with cache.locked(folder, silent):
        try:
            return _read(source, split, wanted)  # another process has mended it
        except Damaged as damage:
            _make(source, silent, damage)
        try:
            return _read(source, split, wanted)
        except Damaged as damage:
            raise EnvironmentFault(
                f"{damage}, although it was just written; check the disk, or set CIFAR_LAB_CACHE to another folder"
            ) from damage


def _read(source: Source, split: cache.SplitName, wanted: str) -> Split:
    folder = cache.folder_of(source)
    meta = cache.read_meta(folder)
    if meta is None:
        raise Damaged(f"{folder}: missing")
    if meta.info.fingerprint != wanted:
        raise DataError(
            f"{source.name}: the images changed (fingerprint {meta.info.fingerprint[:16]}, expected {wanted[:16]}); "
            "run again to train on the new ones"
        )
    return cache.read_split(folder, meta, split)
