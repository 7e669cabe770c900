"""Folders of the splits of a data set, and what to say where they are missing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from cifar_lab.data.file_tree import Entry
from cifar_lab.data.findings import SHOWN_NAMES, printable

IMAGE_SUFFIXES = (
    ".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
ARCHIVE_SUFFIXES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")

SPLITS = ("train", "test")
SPELLINGS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "val": ("val", "valid", "validation", "dev", "eval"),
}
"""Names of a split, in any case."""

_NEUTRAL = ("set", "images", "image", "data", "dataset", "split", "folder", "seg")
"""Words beside the name of a split in the name of its folder, as in `training_set`."""


def split_of(folder: str) -> str | None:
    """Split that a folder's name means. None for any other name."""
    words = [word for word in re.split(r"[^a-z]+", folder.lower()) if word and word not in _NEUTRAL]
    word = words[0].removesuffix("set") if len(words) == 1 else ""
    return next((split for split, names in SPELLINGS.items() if word in names), None)


def is_image(entry: Entry) -> bool:
    """Whether an entry is an image by its name."""
    return not entry.is_folder and entry.path.lower().endswith(IMAGE_SUFFIXES)


def split_folders(entries: Sequence[Entry]) -> dict[str, str]:
    """Folder of each split, as a path: those of the pair train and test nearest to the root, else what there is.

    Exact names count before other spellings.
    """
    paths: dict[tuple[str, ...], None] = {}
    for entry in entries:
        parts = tuple(entry.path.split("/"))
        paths |= dict.fromkeys(parts[:end] for end in range(1, len(parts) + entry.is_folder))
    for exact in (True, False):
        by_parent: dict[tuple[str, ...], dict[str, str]] = {}
        for path in paths:
            split = split_of(path[-1])
            if split is not None and (not exact or path[-1] == split):
                by_parent.setdefault(path[:-1], {}).setdefault(split, "/".join(path))
        both = sorted((len(parent), parent) for parent, found in by_parent.items() if set(SPLITS) <= found.keys())
        if both:
            return _with_val(by_parent[both[0][1]], paths)
    return {split: path for found in by_parent.values() for split, path in found.items()}


def _with_val(found: dict[str, str], paths: Iterable[tuple[str, ...]]) -> dict[str, str]:
    """The same with a folder val beside the others, in any spelling."""
    parent = found["train"].rpartition("/")[0]
    for path in paths:
        if "/".join(path[:-1]) == parent and split_of(path[-1]) == "val":
            found.setdefault("val", "/".join(path))
    return found


def rivals(entries: Iterable[Entry]) -> list[str]:
    """Parents of several pairs train/ and test/ at the same depth, of which none is nearer to the root."""
    folders: set[tuple[str, ...]] = set()
    for entry in entries:
        parts = tuple(entry.path.split("/"))
        folders.update(parts[:end] for end in range(1, len(parts) + entry.is_folder))
    holders = [{folder[:-1] for folder in folders if folder[-1] == split} for split in SPLITS]
    both = sorted(holders[0] & holders[1], key=lambda parent: (len(parent), parent))
    return [str(PurePosixPath(*parent)) for parent in both if len(parent) == len(both[0])] if len(both) > 1 else []


def missing_splits(entries: Sequence[Entry], folders: Mapping[str, str]) -> str:
    """Sentence on what is missing, what is there, and what to do."""
    missing = [split for split in SPLITS if split not in folders]
    what = "train/ and test/ are not in one folder"
    if missing:
        what = f"no {' and no '.join(f'{split}/' for split in missing)} folder"
    there = sorted(
        {entry.path.partition("/")[0] + ("/" if "/" in entry.path or entry.is_folder else "") for entry in entries}
    )
    shown = ", ".join(map(printable, there[:SHOWN_NAMES])) + (", …" if len(there) > SHOWN_NAMES else "")
    advice = "expected train/<class>/… and test/<class>/… side by side"
    if any(name.lower().endswith(ARCHIVE_SUFFIXES) for name in there):
        advice = f"unpack the archives in it, or set data.root to one that holds both; {advice}"
    elif any(name.lower().endswith((".npy", ".npz")) for name in there):
        advice = "unpack the arrays, and set data.root to their folder"
    elif missing == ["test"] and "val" in folders:
        advice = f"rename {printable(folders['val'])}/ to test/, or set data.val_folder: test"
    elif missing == ["test"] or (len(missing) == 2 and class_folder(entries) is not None):
        advice += ", or set data.test_share (0.2, say) to cut a test split from these images"
    return f"{what}; found {shown or 'nothing'}; {advice}"


def class_folder(entries: Sequence[Entry]) -> str | None:
    """Folder nearest to the root with images in two or more folders below it. None if there is none."""
    holders: dict[str, set[str]] = {}
    for entry in entries:
        parts = entry.path.split("/")
        if is_image(entry):
            for end in range(len(parts) - 1):
                holders.setdefault("/".join(parts[:end]), set()).add(parts[end])
    several = [folder for folder, names in holders.items() if len(names) > 1]
    return min(several, key=lambda folder: (folder.count("/") + bool(folder), folder), default=None)
