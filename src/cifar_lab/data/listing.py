"""Splits and classes of an image data set, found in the list of its files. All that is wrong is found in one pass."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

from cifar_lab.data.archives import Entry
from cifar_lab.data.findings import SHOWN_NAMES, Findings, Kind, printable
from cifar_lab.data.label_tables import Table, labelled, table_splits

IMAGE_SUFFIXES = (
    ".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
TEXT_SUFFIXES = (
    ".csv", ".db", ".html", ".ini", ".json", ".jsonl", ".log", ".lst", ".mat", ".md", ".names", ".pdf", ".py", ".rtf",
    ".tsv", ".txt", ".url", ".xml", ".yaml", ".yml",
)  # fmt: skip
"""Endings of notes and annotations, which are left aside."""

SPLITS = ("train", "test")
SPELLINGS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "val": ("val", "valid", "validation"),
}
"""Names of the folders of a split, in any case."""

Tables = Mapping[str, Table]
"""Tables of labels by path."""

NO_CLASS = Kind(
    "{name} lies in no class; move it to a folder <class>/ beside it",
    "{count} images lie in no class: {names}; move them to folders <class>/ beside them",
)
NO_IMAGE = Kind(
    f"{{name}} is no image by its name ({', '.join(IMAGE_SUFFIXES)}); take it out",
    f"{{count}} files are no images by their names ({', '.join(IMAGE_SUFFIXES)}): {{names}}; take them out",
)
EMPTY_CLASS = Kind(
    "class {name} has no images in {reason}/; add some or take the folder out",
    "{count} folders of classes have no images: {names}; add some or take the folders out",
)
ONE_SIDED = Kind(
    "class {name} is {reason}; both need the same classes",
    "{count} classes are in one split only: {names}; both need the same classes",
)
FEW_CLASSES = Kind("{reason} in train/; at least two are needed to tell apart")
NO_SPLITS = Kind("{reason}")
VAL_ASIDE = Kind("{name} is left aside; to use its images, set data.val_folder to validation or test")
NO_TEST_CLASS = Kind(
    "{name} has no class of train/{because}; sort its images into classes, or set data.test_share (0.2, say) to cut a "
    "test split from train/"
)
TEST_IS_CUT = Kind("{name} has no classes and is left aside; the test split is cut from train/")
VAL_IS_TEST = Kind("{name} has no classes, so that {reason} is the test split")
TEXT_ASIDE = Kind("{name} is no image and is left aside", "{count} files are no images and are left aside: {names}")
JOINED = Kind("{name} is spelled in two ways that look alike (Unicode NFC and NFD); they are one class")

ValUse = Literal["aside", "validation", "test"]


@dataclass
class Layout:
    """Classes ordered by name, and the image files of each class in each split, ordered by path."""

    classes: tuple[str, ...] = ()
    files: dict[str, dict[str, list[Entry]]] = field(default_factory=dict)
    """files[split][class], for the splits train and test, and val where it is used for validation."""
    faults: Findings = field(default_factory=Findings)
    notes: Findings = field(default_factory=Findings)


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
    folders = _split_folders(ordered)
    if not set(SPLITS) <= folders.keys():
        images = [entry for entry in ordered if _is_image(entry)]
        if (by_table := table_splits(images, tables, found.faults, SPELLINGS)) is not None:
            found.files |= {split: by_table[split] for split in by_table if split != "val" or val_use == "validation"}
            _check_classes(found, found.files)
            return found
    if "train" in folders and val_use == "test" and "val" in folders:
        folders["test"] = folders.pop("val")
    parents = {folders[split].rpartition("/")[0] for split in SPLITS if split in folders}
    if "train" in folders and len(parents) == 1 and ("test" in folders or cut_test):
        _read_splits(found, ordered, folders, tables, val_use, cut_test=cut_test)
    elif cut_test and not {"train", "test"} & folders.keys():
        _read_one_split(found, ordered, tables)
    else:
        found.faults.add(NO_SPLITS, reason=_missing(ordered, folders))
        return found
    _check_classes(found, found.files)
    return found


def test_layout(entries: Iterable[Entry], tables: Tables, faults: Findings) -> Layout:
    """Layout of images to test on: the test split where there is one, else all images, as one split `test`."""
    ordered = sorted(entries, key=lambda entry: entry.path)
    found = Layout(faults=faults)
    folders = _split_folders(ordered)
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


def _split_folders(entries: Sequence[Entry]) -> dict[str, str]:
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
            for split, names in SPELLINGS.items():
                if path[-1] == split if exact else path[-1].lower() in names:
                    by_parent.setdefault(path[:-1], {}).setdefault(split, "/".join(path))
        both = sorted((len(parent), parent) for parent, found in by_parent.items() if set(SPLITS) <= found.keys())
        if both:
            return _with_val(by_parent[both[0][1]], paths)
    return {split: path for found in by_parent.values() for split, path in found.items()}


def _with_val(found: dict[str, str], paths: Iterable[tuple[str, ...]]) -> dict[str, str]:
    """The same with a folder val beside the others, in any spelling."""
    parent = found["train"].rpartition("/")[0]
    for path in paths:
        if "/".join(path[:-1]) == parent and path[-1].lower() in SPELLINGS["val"]:
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


def _missing(entries: Sequence[Entry], folders: Mapping[str, str]) -> str:
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
    if missing == ["test"] and "val" in folders:
        advice = f"rename {printable(folders['val'])}/ to test/, or set data.val_folder: test"
    elif missing == ["test"] or (len(missing) == 2 and _class_folders(entries) is not None):
        advice += ", or set data.test_share (0.2, say) to cut a test split from these images"
    return f"{what}; found {shown or 'nothing'}; {advice}"


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
    """Take the validation folder as test split, as Tiny-ImageNet needs it, or cut one, or refuse.

    For a folder of the test split without any class of the training split.
    """
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
    images = [entry for entry in entries if _is_image(entry)]
    start = len(folder) + 1 if folder else 0
    tops = {entry.path[start:].partition("/")[0] for entry in images if "/" in entry.path[start:]}
    if len(tops) < 2 and (by_table := labelled(images, folder, tables, found.faults)) is not None:
        return by_table
    spellings: dict[str, dict[str, list[Entry]]] = {}
    for entry in entries:
        parts = entry.path[start:].split("/")
        if len(parts) == 1 and not entry.is_folder:
            if _is_image(entry):
                found.faults.add(NO_CLASS, entry.path)
            continue
        files = spellings.setdefault(class_key(parts[0]), {}).setdefault(parts[0], [])
        if not entry.is_folder:
            _add_file(found, entry, files)
    classes = {}
    for key, names in spellings.items():
        if len(names) > 1:
            found.notes.add(JOINED, f"class {key!r}")
        name = next(iter(names)) if len(names) == 1 else key
        classes[name] = [entry for each in names.values() for entry in each]
    return classes


def _add_file(found: Layout, entry: Entry, files: list[Entry]) -> None:
    suffix = PurePosixPath(entry.path).suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        files.append(entry)
    elif suffix in TEXT_SUFFIXES:
        found.notes.add(TEXT_ASIDE, entry.path)
    else:
        found.faults.add(NO_IMAGE, entry.path)


def class_key(name: str) -> str:
    """Name of a class in one spelling of its accents, to compare names of different file systems."""
    return unicodedata.normalize("NFC", name)


def _read_one_split(found: Layout, entries: Sequence[Entry], tables: Tables) -> None:
    """One folder per class without splits, or a table of labels."""
    images = [entry for entry in entries if _is_image(entry)]
    for folder in dict.fromkeys(table.folder for table in tables.values()):
        if (by_table := labelled(images, folder, tables, found.faults)) is not None:
            found.files["train"] = by_table
            return
    parent = _class_folders(entries) or ""
    below = [entry for entry in entries if not parent or entry.path.startswith(f"{parent}/")]
    found.files["train"] = _classes_below(found, below, parent, tables)


def _is_image(entry: Entry) -> bool:
    return not entry.is_folder and entry.path.lower().endswith(IMAGE_SUFFIXES)


def _class_folders(entries: Sequence[Entry]) -> str | None:
    """Folder nearest to the root with images in two or more folders below it. None if there is none."""
    holders: dict[str, set[str]] = {}
    for entry in entries:
        parts = entry.path.split("/")
        if _is_image(entry):
            for end in range(len(parts) - 1):
                holders.setdefault("/".join(parts[:end]), set()).add(parts[end])
    several = [folder for folder, names in holders.items() if len(names) > 1]
    return min(several, key=lambda folder: (folder.count("/") + bool(folder), folder), default=None)


def _check_classes(found: Layout, files: dict[str, dict[str, list[Entry]]]) -> None:
    """Join the spellings of the splits, and note classes that are in one split only, empty or too few."""
    _join_spellings(found, files)
    train = files["train"]
    for split, classes in files.items():
        for name in sorted(classes):
            if not classes[name]:
                found.faults.add(EMPTY_CLASS, repr(printable(name)), split)
    for split, other in (("train", "test"), ("test", "train"), ("val", "train")):
        for name in sorted(files.get(split, ())):
            if other in files and name not in files[other]:
                found.faults.add(ONE_SIDED, repr(printable(name)), _one_sided(name, split, other, files[other]))
    if len(train) < 2:
        found.faults.add(FEW_CLASSES, reason=f"{len(train)} class")
    found.classes = tuple(sorted(train))


def _one_sided(name: str, split: str, other: str, there: Iterable[str]) -> str:
    """`in test/ but not in train/`, with the name there that differs in case or spaces only."""
    alike = [each for each in there if _folded(each) == _folded(name)]
    return f"in {split}/ but not in {other}/" + (f", which has {printable(alike[0])!r}" if alike else "")


def _folded(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def _join_spellings(found: Layout, files: dict[str, dict[str, list[Entry]]]) -> None:
    """Give a class one name in all splits. A name that is spelled in one way only stays as it is."""
    spelled: dict[str, set[str]] = {}
    for classes in files.values():
        for name in classes:
            spelled.setdefault(class_key(name), set()).add(name)
    for key, names in spelled.items():
        if len(names) > 1:
            found.notes.add(JOINED, f"class {key!r}")
            for classes in files.values():
                for name in names & classes.keys():
                    classes[key] = classes.pop(name)
