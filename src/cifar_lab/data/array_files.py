"""Images and labels in .npy and .npz files: CIFAR-10.1, CIFAR-10-C, the files of Keras and MedMNIST, and their kin."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cifar_lab.core.errors import DataError
from cifar_lab.core.files import open_file
from cifar_lab.core.host import available_memory
from cifar_lab.data.findings import printable
from cifar_lab.data.split_folders import split_of
from cifar_lab.data.splits import Split

SUFFIXES = (".npy", ".npz")

_WORDS = {
    "train": {"train", "training", "tr"},
    "test": {"test", "testing", "te"},
    "val": {"val", "valid", "validation", "dev", "eval"},
}
_LABEL_WORDS = {"y", "label", "labels", "target", "targets", "class", "classes"}
_IMAGE_WORDS = {"x", "image", "images", "data", "img", "imgs", "features", "pixels"}

Array = NDArray[Any]


@dataclass(frozen=True)
class LabelledArrays:
    """Images and labels of one split, as stored."""

    images: Array
    labels: Array


def array_files(root: Path) -> list[Path]:
    """Array files that `root` is, or that lie in it or in its folders of splits, where these hold nothing else.

    The labels of a .npy file of images lie beside it: `x_data.npy` and `x_labels.npy`, or `labels.npy` for all.
    """
    if is_array_file(root) and root.is_file():
        stem = re.sub(r"(data|images|x)(?![a-z])", "labels", root.stem, flags=re.IGNORECASE)
        beside = [root.with_name(f"{stem}.npy"), root.with_name("labels.npy")]
        labels = [path for path in beside if root.suffix.lower() == ".npy" and path != root and path.is_file()]
        return [root, *labels[:1]]
    if not root.is_dir():
        return []
    there = _listed(root)
    folders = [path for path in there if path.is_dir()]
    if not folders:
        return [path for path in there if is_array_file(path)]
    below = [path for folder in folders for path in _listed(folder)]
    return below if all(split_of(each.name) for each in folders) and all(map(is_array_file, below)) else []


def is_array_file(path: Path) -> bool:
    """Whether a file is one of arrays by its name."""
    return path.suffix.lower() in SUFFIXES


def _listed(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]


def read_pairs(files: list[Path], root: str) -> dict[str, LabelledArrays]:
    """Images and labels by split. `all` is a pair without a split.

    Raises:
        DataError: a file that is damaged, or arrays that are no pairs.
    """
    arrays: dict[str, Array] = {}
    for path in files:
        place = path.parent.relative_to(root).as_posix() if Path(root) in path.parents else "."
        before = [] if place == "." else [place]
        if len(files) > 1 and path.suffix.lower() == ".npz":
            before.append(path.stem)  # train.npz with x and y
        for name, array in _arrays_in(path):
            arrays["/".join([*before, name])] = array
    pairs: dict[str, dict[str, str]] = {}
    for name in arrays:
        split, kind = _meaning(name, arrays[name])
        if kind is not None and pairs.setdefault(split, {}).setdefault(kind, name) != name:
            raise DataError(
                f"{root}: {printable(pairs[split][kind])} and {printable(name)} both hold {kind}; set data.root to the "
                "file of one of them"
            )
    complete = {
        split: LabelledArrays(arrays[pair["images"]], arrays[pair["labels"]])
        for split, pair in pairs.items()
        if len(pair) == 2
    }
    if not complete or ({"train", "test"} & pairs.keys() and len(complete) < len(pairs)):
        shown = ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in arrays.items()) or "nothing"
        raise DataError(
            f"{root}: no pairs of images and labels; found {shown}; expected arrays such as x_train, y_train, "
            "x_test and y_test"
        )
    return complete


def _meaning(name: str, array: Array) -> tuple[str, str | None]:
    """(split, whether images or labels) by the words of an array's name, and where they say nothing by its shape."""
    name = re.sub(r"(?<![a-zA-Z])([xXyY])(?=(?:tr|te|train|test|val|valid|dev)$)", r"\1_", name)
    words = set(re.split(r"[^a-z0-9]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()))
    split = next((split for split, names in _WORDS.items() if words & names), "all")
    if words & _LABEL_WORDS or (array.ndim <= 2 and array.shape[-1:] in ((), (1,))) or array.ndim == 1:
        return split, "labels"
    is_image = array.ndim in (3, 4) or (array.ndim == 2 and array.shape[1] in (784, 1024, 3072))
    return split, "images" if is_image and (words & _IMAGE_WORDS or array.ndim >= 2) else None


def _arrays_in(path: Path) -> Iterator[tuple[str, Array]]:
    """(name, array) of a file. Pickled objects are refused."""
    try:
        with open_file(path) as file:
            if path.suffix.lower() == ".npy":
                yield path.stem, _read_npy(file)
                return
            with zipfile.ZipFile(file) as archive:
                for member in archive.infolist():
                    with archive.open(member) as stored:
                        yield member.filename.removesuffix(".npy"), _read_npy(stored)
    except (ValueError, EOFError, zipfile.BadZipFile, zipfile.LargeZipFile, OSError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise DataError(f"{path}: cannot be read as arrays ({reason})") from error


def _read_npy(file: Any) -> Array:
    """One array of an open file, after a look at the size that its header states.

    Raises:
        ValueError: it is damaged, holds objects or does not fit into memory.
    """
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"format {version[0]}.{version[1]} is not known")
    shape, is_fortran, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are code; save plain numbers")
    size, free = prod(shape) * dtype.itemsize, available_memory()
    if free is not None and size > free:
        raise ValueError(f"{size:,} bytes, more than the free memory of {free:,} bytes")
    content = bytearray()
    while len(content) < size and (piece := file.read(min(1 << 24, size - len(content)))):
        content += piece
    if len(content) < size:
        raise ValueError("it ends early")
    array: Array = np.frombuffer(content, dtype).reshape(shape, order="F" if is_fortran else "C")
    return array


def pixels(images: Array, side: int, root: str, name: str) -> NDArray[np.uint8]:
    """Images as uint8 (N, 3, side, side), from (N, H, W), (N, H, W, C), (N, C, H, W) or flat ones.

    Raises:
        DataError: another shape, or values whose range is not known.
    """
    values = _as_bytes(images, root, name)
    if values.ndim == 2:
        values = _unflattened(values)
    if values.ndim == 3:
        values = values[..., None]
    if values.ndim != 4:
        raise DataError(f"{root}: {name} has the shape {images.shape}; expected (N, rows, columns, 3)")
    if not values.size:
        raise DataError(f"{root}: {name} has the shape {images.shape}, which is empty")
    if values.shape[3] not in (1, 3, 4) and values.shape[1] in (1, 3, 4):
        values = values.transpose(0, 2, 3, 1)
    if values.shape[3] == 4:
        values = _on_white(values)
    if values.shape[3] not in (1, 3):
        raise DataError(f"{root}: {name} has {values.shape[3]} channels; expected 1, 3 or 4")
    values = np.broadcast_to(values, (*values.shape[:3], 3))
    if values.shape[1:3] != (side, side):
        pictures = map(Image.fromarray, np.ascontiguousarray(values))
        values = np.stack([np.asarray(each.resize((side, side), Image.Resampling.BILINEAR)) for each in pictures])
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))  # (N, side, side, 3) → (N, 3, side, side)


def _on_white(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGBA (N, rows, columns, 4) on a white ground, as files are."""
    alpha = values[..., 3:].astype(np.uint32)
    return ((values[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _unflattened(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, pixels) as images: CIFAR's 3072 as channels, rows and columns, others as one square channel."""
    if values.shape[1] == 3072:
        return values.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    edge = round(values.shape[1] ** 0.5)
    return values.reshape(-1, edge, edge) if edge**2 == values.shape[1] else values


def _as_bytes(images: Array, root: str, name: str) -> NDArray[np.uint8]:
    if images.dtype == np.uint8:
        return images.view(np.uint8)
    if images.dtype == np.bool_:
        return np.where(images, 255, 0).astype(np.uint8)
    if not np.issubdtype(images.dtype, np.number) or np.issubdtype(images.dtype, np.complexfloating):
        raise DataError(f"{root}: {name} has values of type {images.dtype}; save uint8")
    low, high = (float(images.min()), float(images.max())) if images.size else (0.0, 0.0)
    if not np.isfinite([low, high]).all():
        raise DataError(f"{root}: {name} has values that are not finite; save uint8")
    if np.issubdtype(images.dtype, np.floating) and low >= 0 and high <= 1:
        return np.asarray(np.rint(images * 255), dtype=np.uint8)
    if low >= 0 and high <= 255:
        return np.rint(images).astype(np.uint8)
    raise DataError(f"{root}: {name} has values from {low:g} to {high:g}; save uint8 from 0 to 255")


def class_numbers(labels: Array, root: str, name: str) -> NDArray[Any]:
    """Labels (N,), from integers, texts or one-hot rows.

    Raises:
        DataError: another kind.
    """
    if labels.ndim == 2 and labels.shape[1] > 1:
        if not ((labels == 0) | (labels == 1)).all() or not (labels.sum(axis=1) == 1).all():
            raise DataError(f"{root}: {name} has {labels.shape[1]} columns that are not one-hot")
        labels = labels.argmax(axis=1)
    labels = labels.reshape(-1)
    if labels.dtype.kind == "f" and (labels == np.rint(labels)).all():
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "iubUS":
        raise DataError(f"{root}: {name} holds {labels.dtype}, which are no classes; save integers")
    return labels.astype(str) if labels.dtype.kind == "S" else labels


def splits(pairs: Mapping[str, LabelledArrays], side: int, root: str) -> tuple[tuple[str, ...], dict[str, Split]]:
    """(class names, images and labels by split). Class names are the labels, in order.

    Raises:
        DataError: images and labels differ in number, or cannot be used.
    """
    labels = {split: class_numbers(pair.labels, root, f"labels of {split}") for split, pair in pairs.items()}
    names = sorted({each for values in labels.values() for each in np.unique(values).tolist()})
    number = {name: at for at, name in enumerate(names)}
    found = {}
    for split, pair in pairs.items():
        if len(pair.images) != len(labels[split]):
            raise DataError(f"{root}: {split} has {len(pair.images):,} images and {len(labels[split]):,} labels")
        indices = np.array([number[each] for each in labels[split].tolist()], np.int64)
        found[split] = Split(pixels(pair.images, side, root, f"images of {split}"), indices)
    return tuple(map(str, names)), found
