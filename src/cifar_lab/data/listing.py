"""File listing of an image data set in a folder or a zip, and the location of its splits and classes."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cifar_lab.core.errors import DataError

IMAGE_SUFFIXES = (
    ".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
SPLITS = ("train", "test")

_NOT_OURS = frozenset({"__macosx", "thumbs.db", "desktop.ini"})  # what desktops leave; with a leading dot, the rest


@dataclass(frozen=True)
class Entry:
    """A file or folder below the root."""

    path: str
    """Relative to the root, with slashes."""
    is_folder: bool
    bytes: int
    changed: int
    """Modification time in nanoseconds, 0 in a zip."""
    member: zipfile.ZipInfo | None = None


@dataclass(frozen=True)
class Layout:
    """Classes ordered by name, and the image files of each class in each split, ordered by path."""

    classes: tuple[str, ...]
    files: dict[str, dict[str, list[Entry]]]
    """files[split][class]."""


def in_folder(root: Path) -> list[Entry]:
    """All entries below a folder except hidden files, ordered by path. Links are followed, loops of them refused.

    Raises:
        DataError: a folder or a link that cannot be read.
    """
    try:
        return sorted(_walk(root, "", frozenset()), key=lambda entry: entry.path)
    except OSError as error:
        raise DataError(
            f"{error.filename}: cannot be read ({error.strerror}); check the folder of data.root"
        ) from error


def in_zip(archive: zipfile.ZipFile, root: str) -> list[Entry]:
    """All entries of a zip except hidden files, ordered by path.

    Raises:
        DataError: two members of one name.
    """
    entries = {}
    for info in archive.infolist():
        path = info.filename.rstrip("/")
        if any(_ignored(part) for part in path.split("/")):
            continue
        if path in entries and not info.is_dir():
            raise DataError(f"{root}: holds {path} twice; make the zip again")
        entries[path] = Entry(path, info.is_dir(), info.file_size, 0, info)
    return [entries[path] for path in sorted(entries)]


def layout(entries: list[Entry], root: str) -> Layout:
    """Find `train/<class>/…` and `test/<class>/…` with the same parent, the one nearest to the root.

    Raises:
        DataError: no such pair or two at the same depth. A class without images or in one split only. Fewer than two
            classes. A file that is no image, or is in no class.
    """
    parent = _parent_of_splits(entries, root)
    found: dict[str, dict[str, list[Entry]]] = {split: {} for split in SPLITS}
    for entry in entries:
        parts = entry.path.split("/")[len(parent) :]
        if entry.path.split("/")[: len(parent)] != list(parent) or len(parts) < 2 or parts[0] not in SPLITS:
            continue
        is_image = entry.path.lower().endswith(IMAGE_SUFFIXES)
        if len(parts) == 2 and not entry.is_folder:
            if is_image:
                raise DataError(f"{root}: {entry.path} lies in no class; move it to {parts[0]}/<class>/")
            continue
        files = found[parts[0]].setdefault(parts[1], [])
        if entry.is_folder:
            continue
        if not is_image:
            raise DataError(f"{root}: {entry.path} is no image by its name ({', '.join(IMAGE_SUFFIXES)}); take it out")
        files.append(entry)
    _check_classes(found, root)
    return Layout(tuple(sorted(found["train"])), found)


def _parent_of_splits(entries: list[Entry], root: str) -> tuple[str, ...]:
    """Path of the folder that contains both splits, as its parts."""
    folders: set[tuple[str, ...]] = set()
    for entry in entries:
        parts = tuple(entry.path.split("/"))
        folders.update(parts[:end] for end in range(1, len(parts) + entry.is_folder))
    holders = {split: {folder[:-1] for folder in folders if folder[-1] == split} for split in SPLITS}
    both = sorted(holders["train"] & holders["test"], key=lambda parent: (len(parent), parent))
    if not both:
        missing = [split for split in SPLITS if not holders[split]]
        what = f"no {' and no '.join(f'{split}/' for split in missing)} folder" if missing else "train/ and test/ apart"
        raise DataError(f"{root}: {what}; expected train/<class>/… and test/<class>/… side by side")
    if len(both) > 1 and len(both[0]) == len(both[1]):
        names = " and ".join(str(PurePosixPath(*parent)) for parent in both[:2])
        raise DataError(f"{root}: train/ and test/ both in {names}; set data.root to one of them")
    return both[0]


def _check_classes(found: dict[str, dict[str, list[Entry]]], root: str) -> None:
    for split, other in (SPLITS, SPLITS[::-1]):
        for name in sorted(found[split]):
            if name not in found[other]:
                raise DataError(
                    f"{root}: class {name!r} is in {split}/ but not in {other}/; both need the same classes"
                )
            if not found[split][name]:
                raise DataError(f"{root}: class {name!r} has no images in {split}/; add some or take the folder out")
    if len(found["train"]) < 2:
        raise DataError(f"{root}: {len(found['train'])} class in train/; at least two are needed to tell apart")


def _walk(folder: Path, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[Entry]:
    with os.scandir(folder) as items:
        for item in items:
            if _ignored(item.name):
                continue
            facts = item.stat()
            is_folder = stat.S_ISDIR(facts.st_mode)
            path = prefix + item.name
            yield Entry(path, is_folder, 0 if is_folder else facts.st_size, 0 if is_folder else facts.st_mtime_ns)
            if is_folder:
                identity = (facts.st_dev, facts.st_ino)
                if identity in above:
                    raise DataError(f"{item.path}: a link to a folder above it; take it out")
                yield from _walk(Path(item.path), f"{path}/", above | {identity})


def _ignored(name: str) -> bool:
    return name.startswith(".") or name.lower() in _NOT_OURS
