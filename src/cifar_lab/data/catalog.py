"""Data sets by name, prepared once into the cache and loaded from there as arrays in memory.

info = prepare(settings.data)       # decodes, downloads or draws the images once
train = load_train(settings.data)   # uint8 (N, 3, 32, 32), int64 (N,)
test = load_test(settings.data)     # read once, after training

No module of this package but `batches`, `augment` and `random_streams` needs torch. `cifar` imports it in a function.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifar_lab.config import Data
from cifar_lab.config.registry import makers
from cifar_lab.config.roles import source_key
from cifar_lab.core.errors import DataError, EnvironmentFault, LabError
from cifar_lab.data import cache
from cifar_lab.data.arrays import Damaged
from cifar_lab.data.chosen_classes import ChosenClassesSource, chosen_counts
from cifar_lab.data.fewer_images import FewerImagesSource, fewer_counts
from cifar_lab.data.splits import DataInfo, Images, ListedCounts, Progress, Source, Split, describe, silent

LOG = logging.getLogger(__name__)

DATASETS: dict[str, Callable[[Any], Source]] = makers("data", __package__)
"""Source class of each `data.dataset`, constructed from the data section of the settings."""


def known(data: Data, fingerprint: str | None = None) -> DataInfo | None:
    """Facts of a data set whose cache is complete and up to date. None if `prepare` is needed.

    Reads meta.json, file sizes, and sizes and times of the source, but neither network nor pixels. A missing source
    does not invalidate a complete cache. With `fingerprint` the source is not looked at.

    Raises:
        EnvironmentFault: the cache is not readable.
    """
    source = source_of(data)
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
    """Fill the cache if it is missing, damaged or older than its source. Idempotent.

    Args:
        data: data section of the settings.
        progress: see `Progress`.
        fingerprint: of the expected images. If the cache holds them, the source is not looked at.

    Raises:
        DataError: the images are missing, damaged or not what they claim to be.
        EnvironmentFault: the cache cannot be read or written.
    """
    found = known(data, fingerprint)
    if found is not None:
        return found
    source = source_of(data)
    with cache.locked(cache.folder_of(source), progress or silent):
        return known(data) or _make(source, progress or silent)


class DatasetCatalog:
    """`known` and `prepare` with a memory: a command looks at each source once, for any number of arms.

    Looking at a folder means listing it, about a second for 60,000 files.
    """

    def __init__(self) -> None:
        self._infos: dict[str, DataInfo] = {}

    def known(self, data: Data) -> DataInfo | None:
        """See `known`."""
        key = source_key(data)
        if key not in self._infos and (found := known(data)) is not None:
            self._infos[key] = found
        return self._infos.get(key)

    def counted(self, data: Data) -> ListedCounts | None:
        """Counts of a folder that is not prepared yet, by listing it. None where that fails."""
        count: Callable[[], ListedCounts | None] | None = getattr(DATASETS[data.dataset](data), "counted", None)
        try:
            counts = None if count is None else count()
        except (DataError, OSError):
            return None
        if counts is not None and data.classes:
            counts = chosen_counts(counts, data.classes)
        return counts if counts is None or data.images_per_class is None else fewer_counts(counts, data)

    def prepare(self, data: Data, progress: Progress | None = None) -> DataInfo:
        """See `prepare`."""
        key = source_key(data)
        if key not in self._infos:
            self._infos[key] = prepare(data, progress)
        return self._infos[key]


def folder_name(data: Data) -> str:
    """Name of a data set's folder in every cache."""
    return cache.folder_of(source_of(data)).name


def load_train(data: Data, fingerprint: str | None = None) -> Split:
    """Training split, prepared first if necessary. Opens no file of the test split.

    Args:
        data: data section of the settings.
        fingerprint: `DataInfo.fingerprint` of the expected images.

    Raises:
        DataError, EnvironmentFault: as `prepare`. DataError also if the images have another fingerprint.
    """
    return _load(data, "train", fingerprint)


def read_ahead(data: Data, fingerprint: str) -> None:
    """Read the training split into memory for the next `load_train`, if the cache has it.

    A worker does so beside the import of torch. What is wrong with the cache is left to `load_train`.
    """
    _AHEAD.clear()
    with suppress(Damaged, LabError):
        source = source_of(data)
        _AHEAD[str(cache.folder_of(source)), fingerprint] = _read(source, "train", fingerprint)


_AHEAD: dict[tuple[str, str], Split] = {}
"""Training split that was read ahead, by folder of the cache and fingerprint. At most one."""


def load_test(data: Data, fingerprint: str | None = None) -> Split:
    """Test split, to be read once, after training. Arguments and errors as `load_train`."""
    return _load(data, "test", fingerprint)


def train_labels(data: Data, fingerprint: str) -> NDArray[np.int64]:
    """Labels (N,) of the training split, without its images. Arguments and errors as `load_train`."""
    try:
        return cache.read_labels(cache.folder_of(source_of(data)), fingerprint)
    except Damaged:
        return load_train(data, fingerprint).labels


def source_of(data: Data) -> Source:
    """Source of the images that these settings select."""
    source: Source = DATASETS[data.dataset](data)
    if (test_root := getattr(data, "test_root", None)) is not None:
        from cifar_lab.data.other_test import OtherTestSource

        source = OtherTestSource(source, test_root, data.side())
    read: Callable[[Progress], Images] = partial(_whole, source)
    if data.classes:
        source = ChosenClassesSource(source, data.classes, read)
        read = source.read
    return source if data.images_per_class is None else FewerImagesSource(source, data.images_per_class, read)


def _whole(source: Source, progress: Progress) -> Images:
    """All images of a source, of which some are chosen. Its cache serves every choice."""
    with cache.locked(cache.folder_of(source), progress):
        try:
            found = _cached(source)
        except Damaged:
            found = None
        if found is None:
            _make(source, progress)
            found = _cached(source)
    assert found is not None
    return found


def _cached(source: Source) -> Images | None:
    """Images of a cache that is up to date. None without one. Notes on them were said when it was made.

    Raises:
        Damaged: it is damaged.
    """
    folder = cache.folder_of(source)
    meta = cache.read_meta(folder)
    if meta is None or source.state() not in (None, meta.state):
        return None
    train, test = (cache.read_split(folder, meta, name) for name in cache.SPLITS)
    return Images(meta.info.classes, train, test, meta.info.own_val)


def _make(source: Source, progress: Progress, damage: Damaged | None = None) -> DataInfo:
    """Read the source and fill the cache. The caller holds the lock."""
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
    for sentence in info.notes:
        LOG.warning("note: %s: %s", getattr(source, "root", source.name), sentence)
    return cache.store(folder, source.key(), state, images, info).info


def _load(data: Data, split: cache.SplitName, fingerprint: str | None) -> Split:
    """Load one split of the images with this fingerprint, and repair a damaged cache."""
    source = source_of(data)
    folder = cache.folder_of(source)
    wanted = fingerprint or prepare(data).fingerprint
    if split == "train" and (ahead := _AHEAD.pop((str(folder), wanted), None)) is not None:
        return ahead
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
