"""Batches in the file formats of CIFAR, which other sets use too: pickles and the binary version."""

from __future__ import annotations

import io
import pickle
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cifar_lab.core.errors import DataError
from cifar_lab.data.array_files import LabelledArrays
from cifar_lab.data.file_tree import Entry, Tree
from cifar_lab.data.findings import printable, reason_of

PIXELS = 3 * 32 * 32
MAX_BATCH_BYTES = 512 * 2**20
"""Largest file. All training images of CIFAR-100 take 155 MB."""

_NAMES = {
    "train": re.compile(r"(data_batch_\d+|train)(\.bin)?"),
    "test": re.compile(r"test(_batch)?(\.bin)?"),
    "classes": re.compile(r"batches\.meta(\.txt)?|meta|fine_label_names\.txt"),
}
_LABEL_KEYS = ("labels", "fine_labels")
_CLASS_KEYS = ("label_names", "fine_label_names")
_HARMLESS = {
    (f"numpy.{core}.{module}", name)
    for core in ("core", "_core")
    for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
} | {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}
"""Names that a pickle of arrays needs. None of them runs code of the file."""


@dataclass(frozen=True)
class Batches:
    """Files of batches in one folder."""

    train: Sequence[Entry]
    test: Sequence[Entry]
    classes: Entry | None
    """File with the names of the classes."""


def find_batches(entries: Iterable[Entry]) -> Batches | None:
    """Find batches of CIFAR. Files without an ending count where each kind is there, as `train` is a common name."""
    folders: dict[str, dict[str, list[Entry]]] = {}
    for entry in entries:
        folder, _, name = entry.path.rpartition("/")
        kind = next((kind for kind, names in _NAMES.items() if names.fullmatch(name)), None)
        if kind is not None and not entry.is_folder:
            folders.setdefault(folder, {}).setdefault(kind, []).append(entry)
    for _, found in sorted(folders.items(), key=lambda each: (each[0].count("/"), each[0])):
        train = sorted(found.get("train", ()), key=lambda entry: (len(entry.path), entry.path))
        is_plain = any(entry.path.rpartition("/")[2] == "train" for entry in train)
        if train and (not is_plain or len(found) == 3):
            return Batches(train, found.get("test", ()), next(iter(found.get("classes", ())), None))
    return None


def read_batches(tree: Tree, found: Batches, root: str) -> tuple[tuple[str, ...], dict[str, LabelledArrays]]:
    """(class names, images and labels by split). Class names are the labels where no file has them.

    Raises:
        DataError: a file that is no batch.
    """
    pairs = {
        split: _joined([_read(tree, entry, root) for entry in files])
        for split, files in (("train", found.train), ("test", found.test))
        if files
    }
    most = max(int(pair.labels.max(initial=0)) for pair in pairs.values())
    names = _class_names(tree, found.classes) if found.classes is not None else []
    return tuple(names) if len(names) > most else tuple(map(str, range(most + 1))), pairs


def _joined(parts: Sequence[LabelledArrays]) -> LabelledArrays:
    images, labels = ([getattr(part, name) for part in parts] for name in ("images", "labels"))
    return LabelledArrays(np.concatenate(images), np.concatenate(labels))


def _read(tree: Tree, entry: Entry, root: str) -> LabelledArrays:
    where = f"{root}: {printable(entry.path)}"
    try:
        content = tree.read(entry, MAX_BATCH_BYTES)
    except Exception as error:  # as for images
        raise DataError(f"{where} cannot be read ({reason_of(error)}); check the file") from error
    try:
        pair = _binary(content, entry.path) if entry.path.endswith(".bin") else _pickled(content)
    except Exception as error:  # a pickle raises whatever its bytes lead to
        raise DataError(f"{where} is not a batch of CIFAR ({reason_of(error)}); fetch it again or remove it") from error
    if len(pair.images) != len(pair.labels) or not len(pair.labels) or pair.labels.min() < 0:
        raise DataError(
            f"{where} has {len(pair.images):,} images and {len(pair.labels):,} labels; expected a number from 0 for "
            "each image"
        )
    return pair


def _binary(content: bytes, path: str) -> LabelledArrays:
    """One byte for the label, two in CIFAR-100's files, of which the second is the class."""
    labels = 2 if re.search(r"(^|/)(train|test)\.bin$", path) and len(content) % (PIXELS + 2) == 0 else 1
    if len(content) % (PIXELS + labels):
        raise ValueError(f"{len(content):,} bytes are no multiple of {PIXELS + labels:,}")
    rows = np.frombuffer(content, np.uint8).reshape(-1, PIXELS + labels)
    return LabelledArrays(rows[:, labels:], rows[:, labels - 1].astype(np.int64))


class _ArraysOnly(pickle.Unpickler):
    """Reader of pickles that hold arrays, numbers and texts, and no code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _HARMLESS:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, which is code")
        return super().find_class(module, name)


def _unpickled(content: bytes) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)  # as in `cifar`
        values = _ArraysOnly(io.BytesIO(content), encoding="latin1").load()
    if not isinstance(values, dict):
        raise ValueError("it holds no dictionary")
    return {key.decode("latin1") if isinstance(key, bytes) else str(key): value for key, value in values.items()}


def _pickled(content: bytes) -> LabelledArrays:
    values = _unpickled(content)
    key = next((key for key in _LABEL_KEYS if key in values), None)
    if key is None or "data" not in values:
        raise ValueError(f"it has {', '.join(values) or 'nothing'} and not data and labels")
    images = np.asarray(values["data"])
    if images.dtype != np.uint8:
        raise ValueError(f"its data is {images.dtype}, expected uint8")
    return LabelledArrays(images, np.asarray(values[key], np.int64))


def _class_names(tree: Tree, entry: Entry) -> list[str]:
    """Names of the classes. None where the file cannot be read."""
    try:
        content = tree.read(entry)
        if entry.path.endswith(".txt"):
            return [line.strip() for line in content.decode("utf-8-sig").splitlines() if line.strip()]
        values = _unpickled(content)
        names: list[Any] = next((values[key] for key in _CLASS_KEYS if key in values), [])
        return [name.decode() if isinstance(name, bytes) else str(name) for name in names]
    except Exception:  # the labels are names too
        return []
