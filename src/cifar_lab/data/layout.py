"""Layout of an image data set: its classes and the files of each split, and the check that its splits agree."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cifar_lab.data.file_tree import Entry
from cifar_lab.data.findings import Findings, Kind, printable

NO_CLASS = Kind(
    "{name} belongs to no class; move it to a folder <class>/ beside it",
    "{count} images belong to no class: {names}; move them to folders <class>/ beside them",
)
EMPTY_CLASS = Kind(
    "class {name} has no images in {reason}/; add images or remove the folder",
    "{count} folders of classes have no images: {names}; add images or remove the folders",
)
ONE_SIDED = Kind(
    "class {name} is {reason}; both need the same classes",
    "{count} classes are in one split only: {names}; both need the same classes",
)
ALIKE = Kind(
    "{name} is one class in two spellings; use one of them",
    "{count} classes have two spellings: {names}; use one of them",
)
FEW_CLASSES = Kind("{reason} found; at least two classes are needed")
JOINED = Kind("{name} is spelled in two ways that look alike (Unicode NFC and NFD); they are one class")


@dataclass
class Layout:
    """Classes ordered by name, and the image files of each class in each split, ordered by path."""

    classes: tuple[str, ...] = ()
    files: dict[str, dict[str, list[Entry]]] = field(default_factory=dict)
    """files[split][class], for the splits train and test, and val where it is used for validation."""
    faults: Findings = field(default_factory=Findings)
    notes: Findings = field(default_factory=Findings)


def check_classes(found: Layout, files: dict[str, dict[str, list[Entry]]]) -> None:
    """Join the spellings of the splits, and note classes that are in one split only, empty or too few."""
    _join_spellings(found, files)
    train = files["train"]
    for split, classes in files.items():
        for name in sorted(classes):
            if not classes[name]:
                found.faults.add(EMPTY_CLASS, repr(printable(name)), split)
    for split, other in (("train", "test"), ("test", "train"), ("val", "train")):
        if other in files:
            _compare_classes(found, split, files.get(split, {}), other, files[other])
    if len(train) < 2 and (train or NO_CLASS not in found.faults.found):
        found.faults.add(FEW_CLASSES, reason="1 class" if train else "no class")
    found.classes = tuple(sorted(train))


def _compare_classes(
    found: Layout, split: str, classes: Mapping[str, Sequence[Entry]], other: str, others: Mapping[str, Sequence[Entry]]
) -> None:
    """Find the classes of a split that the other lacks. Names that differ in case or spaces only are said once."""
    folded = {_folded(name): name for name in others if name not in classes}
    for name in sorted(classes.keys() - others.keys()):
        ours, theirs = repr(printable(name)), folded.get(_folded(name))
        if theirs is None and classes[name]:  # an empty class is a fault already
            found.faults.add(ONE_SIDED, ours, f"in {split}/ but not in {other}/")
        elif theirs is not None and split != "test":
            found.faults.add(ALIKE, f"{ours} in {split}/, {printable(theirs)!r} in {other}/")


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


def class_key(name: str) -> str:
    """Name of a class in one spelling of its accents, to compare names of different file systems."""
    return unicodedata.normalize("NFC", name)
