"""Splits and classes of an image data set, found in the list of its files. All that is wrong is found in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Literal

from cifar_lab.data.file_tree import Entry
from cifar_lab.data.findings import Findings, Kind, printable
from cifar_lab.data.label_tables import Table, labelled, table_splits
from cifar_lab.data.layout import JOINED, NO_CLASS, Layout, check_classes, class_key
from cifar_lab.data.split_folders import (
    ARCHIVE_SUFFIXES,
    IMAGE_SUFFIXES,
    SPELLINGS,
    SPLITS,
    class_folder,
    is_image,
    missing_splits,
    split_folders,
)

TEXT_SUFFIXES = (
    ".csv", ".db", ".html", ".ini", ".json", ".jsonl", ".log", ".lst", ".mat", ".md", ".names", ".pdf", ".py", ".rtf",
    ".tsv", ".txt", ".url", ".xml", ".yaml", ".yml",
)  # fmt: skip
"""Endings of notes and annotations, which are left aside."""

Tables = Mapping[str, Table]
"""Tables of labels by path."""

NO_IMAGE = Kind(
    f"{{name}} is not an image file ({', '.join(IMAGE_SUFFIXES)}); remove it",
    f"{{count}} files are not image files ({', '.join(IMAGE_SUFFIXES)}): {{names}}; remove them",
)
NESTED = Kind(
    "{name} is an archive within the data set; unpack it",
    "{count} files are archives within the data set: {names}; unpack them",
)
NAMED_FOLDER = Kind(
    "{name} is a folder without images, although its name is that of an image; remove it",
    "{count} folders without images have the names of images: {names}; remove them",
)
NO_MATCH = Kind(
    "{name} names no image of the data set{because}; correct its paths",
    "{count} tables name no image of the data set: {names}; correct their paths",
)
NO_SPLITS = Kind("{reason}")
VAL_ASIDE = Kind("{name} is ignored; to use its images, set data.val_folder to validation or test")
NO_TEST_CLASS = Kind(
    "{name} has no class of train/{because}; sort its images into classes, or set data.test_share (0.2, say) to cut a "
    "test split from train/"
)
TEST_IS_CUT = Kind("{name} has no classes and is ignored; the test split is cut from train/")
VAL_IS_TEST = Kind("{name} has no classes, so {reason} is the test split")
TEXT_ASIDE = Kind("{name} is not an image and is ignored", "{count} files are not images and are ignored: {names}")

ValUse = Literal["aside", "validation", "test"]


def split_layout(
    entries: Iterable[Entry], tables: Tables, val_use: ValUse, *, cut_test: bool, faults: Findings
) -> Layout:
    """Find the splits, with the same parent and nearest to the root, and their classes.

    Args:
        entries: all files and folders.
        tables: those among them.
        val_use: what a folder val/ is for.
        cut_test: whether the test split is cut from the other images where there is none.
        faults: what is wrong already.
    """
    ordered = sorted(entries, key=lambda entry: entry.path)
    found = Layout(faults=faults)
    folders = split_folders(ordered)
    if not set(SPLITS) <= folders.keys():
        images = [entry for entry in ordered if is_image(entry)]
        if (by_table := table_splits(images, tables, found.faults, SPELLINGS)) is not None:
            found.files |= {split: by_table[split] for split in by_table if split != "val" or val_use == "validation"}
            check_classes(found, found.files)
            return found
    if "train" in folders and val_use == "test" and "val" in folders:
        folders["test"] = folders.pop("val")
    parents = {folders[split].rpartition("/")[0] for split in SPLITS if split in folders}
    if "train" in folders and len(parents) == 1 and ("test" in folders or cut_test):
        _read_splits(found, ordered, folders, tables, val_use, cut_test=cut_test)
    elif cut_test and not {"train", "test"} & folders.keys():
        _read_one_split(found, ordered, tables)
    else:
        found.faults.add(NO_SPLITS, reason=missing_splits(ordered, folders))
        return found
    check_classes(found, found.files)
    return found


def test_layout(entries: Iterable[Entry], tables: Tables, faults: Findings) -> Layout:
    """Layout of images to test on: the test split where there is one, else all images, as one split `test`."""
    ordered = sorted(entries, key=lambda entry: entry.path)
    found = Layout(faults=faults)
    folders = split_folders(ordered)
    if "test" in folders:
        below = [entry for entry in ordered if entry.path.startswith(f"{folders['test']}/")]
        found.files["test"] = _classes_below(found, below, folders["test"], tables)
    else:
        _read_one_split(found, ordered, tables)
        found.files["test"] = found.files.pop("train")
    found.classes = tuple(sorted(found.files["test"]))
    if not any(found.files["test"].values()):
        found.faults.add(NO_SPLITS, reason="no images in folders of classes, and no table of labels")
    return found


def _read_splits(
    found: Layout,
    entries: Sequence[Entry],
    folders: Mapping[str, str],
    tables: Tables,
    val_use: ValUse,
    *,
    cut_test: bool,
) -> None:
    for split, folder in folders.items():
        below = [entry for entry in entries if entry.path.startswith(f"{folder}/")]
        found.files[split] = _classes_below(found, below, folder, tables)
    if "test" in folders and not _keys(found.files["train"]) & _keys(found.files["test"]):
        _replace_unlabelled_test(found, folders, cut_test=cut_test)
    if "val" in found.files and val_use == "aside":
        found.notes.add(VAL_ASIDE, f"{folders['val']}/")
        del found.files["val"]


def _replace_unlabelled_test(found: Layout, folders: Mapping[str, str], *, cut_test: bool) -> None:
    """Replace a test folder without classes, such as Tiny-ImageNet's, by the validation folder or by a cut."""
    train, unlabelled = found.files["train"], f"{folders['test']}/"
    loose = found.faults.found.get(NO_CLASS, [])
    loose[:] = [each for each in loose if not each[0].startswith(unlabelled)]
    if not loose:
        found.faults.found.pop(NO_CLASS, None)
    if "val" in found.files and found.files["val"] and _keys(train) >= _keys(found.files["val"]):
        found.notes.add(VAL_IS_TEST, unlabelled, f"the labelled {folders['val']}/")
        found.files["test"] = found.files.pop("val")
    elif cut_test:
        found.notes.add(TEST_IS_CUT, unlabelled)
        del found.files["test"]
    else:
        found.faults.add(
            NO_TEST_CLASS, unlabelled, ", ".join(printable(name) for name in sorted(found.files["test"])[:3])
        )
        del found.files["test"]


def _keys(classes: Iterable[str]) -> set[str]:
    return set(map(class_key, classes))


def _classes_below(found: Layout, entries: Sequence[Entry], folder: str, tables: Tables) -> dict[str, list[Entry]]:
    """Image files by class: those of a table of labels in the folder, else of the folders in it."""
    images = [entry for entry in entries if is_image(entry)]
    folder = _only_folder(images, folder)
    start = len(folder) + 1 if folder else 0
    tops = {entry.path[start:].partition("/")[0] for entry in images if "/" in entry.path[start:]}
    if len(tops) < 2 and (by_table := labelled(images, folder, tables, found.faults)) is not None:
        return by_table
    spellings: dict[str, dict[str, list[Entry]]] = {}
    for entry in entries:
        if entry.path.startswith(f"{folder}/" if folder else ""):
            _add_entry(found, entry, entry.path[start:].split("/"), spellings, images)
    classes = {}
    for key, names in spellings.items():
        if len(names) > 1:
            found.notes.add(JOINED, f"class {key!r}")
        name = next(iter(names)) if len(names) == 1 else key
        classes[name] = [entry for each in names.values() for entry in each]
    return classes


def _add_entry(
    found: Layout,
    entry: Entry,
    parts: Sequence[str],
    spellings: dict[str, dict[str, list[Entry]]],
    images: Sequence[Entry],
) -> None:
    """Add a file or folder to its class, which is the first of the `parts` of its path."""
    if len(parts) == 1 and not entry.is_folder:
        if is_image(entry):
            found.faults.add(NO_CLASS, entry.path)
        return
    files = spellings.setdefault(class_key(parts[0]), {}).setdefault(parts[0], [])
    if not entry.is_folder:
        _add_file(found, entry, files)
    elif entry.path.lower().endswith(IMAGE_SUFFIXES) and not _has_images(entry, images):
        found.faults.add(NAMED_FOLDER, entry.path)


def _only_folder(images: Sequence[Entry], folder: str) -> str:
    """The folder itself, or the only folder in it where that has several with images: `seg_train/seg_train/<class>`."""
    start = len(folder) + 1 if folder else 0
    below = [entry.path[start:].split("/") for entry in images]
    is_deeper = len({parts[0] for parts in below}) == 1 and all(len(parts) > 2 for parts in below)
    if is_deeper and len({parts[1] for parts in below}) > 1:
        return f"{folder}/{below[0][0]}".removeprefix("/")
    return folder


def _has_images(folder: Entry, images: Sequence[Entry]) -> bool:
    return any(image.path.startswith(f"{folder.path}/") for image in images)


def _add_file(found: Layout, entry: Entry, files: list[Entry]) -> None:
    suffix = PurePosixPath(entry.path).suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        files.append(entry)
    elif suffix in TEXT_SUFFIXES:
        found.notes.add(TEXT_ASIDE, entry.path)
    elif suffix in ARCHIVE_SUFFIXES:
        found.faults.add(NESTED, entry.path)
    else:
        found.faults.add(NO_IMAGE, entry.path)


def _read_one_split(found: Layout, entries: Sequence[Entry], tables: Tables) -> None:
    """One folder per class without splits, or a table of labels."""
    images = [entry for entry in entries if is_image(entry)]
    for folder in dict.fromkeys(table.folder for table in tables.values()):
        if (by_table := labelled(images, folder, tables, found.faults)) is not None:
            found.files["train"] = by_table
            return
    if (parent := class_folder(entries)) is None:
        for table in tables.values():
            found.faults.add(NO_MATCH, table.path, f"its first is {table.rows[0][0]}" if table.rows else "")
        parent = ""
    below = [entry for entry in entries if not parent or entry.path.startswith(f"{parent}/")]
    found.files["train"] = _classes_below(found, below, parent, tables)
