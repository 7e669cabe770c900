"""Images of the user: a folder or an archive with a layout of `listing`, decoded as a viewer shows them."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cifar_lab.config import ImageFolder
from cifar_lab.core.errors import DataError
from cifar_lab.data.archives import open_archive
from cifar_lab.data.array_files import LabelledArrays, array_files, read_pairs, splits
from cifar_lab.data.cifar_batches import find_batches, read_batches
from cifar_lab.data.decoding import DECODER
from cifar_lab.data.file_tree import Entry, FolderTree, Tree
from cifar_lab.data.findings import Findings, printable
from cifar_lab.data.image_files import Decoder, require_memory
from cifar_lab.data.label_tables import MAX_TABLE_BYTES, TABLE_SUFFIXES, Table, read_table
from cifar_lab.data.layout import Layout
from cifar_lab.data.listing import split_layout, test_layout
from cifar_lab.data.split_folders import rivals
from cifar_lab.data.splits import Images, ListedCounts, Progress, Split
from cifar_lab.data.validation import class_shares, validation_split

LOG = logging.getLogger(__name__)


class ImageFolderSource:
    """A folder or an archive, decoded to RGB of one size."""

    name = "imagefolder"
    synthetic = False

    def __init__(self, data: ImageFolder) -> None:
        self.root = Path(data.root).expanduser().resolve()
        self._settings = data

    def key(self) -> Mapping[str, Any]:
        """Folder, version of the decoding, and the settings that differ from their default."""
        settings = self._settings.model_dump(include={"image_size", "val_folder", "test_share"}, exclude_defaults=True)
        return {"root": str(self.root), "decoder": DECODER, **settings}

    def state(self) -> dict[str, Any] | None:
        """Size and time of the archive, or a hash of path, size and time of every file of the folder."""
        try:
            if self.root.is_dir():
                entries = sorted(FolderTree(self.root).entries(Findings()), key=lambda entry: entry.path)
                listing = [[entry.path, entry.bytes, entry.changed] for entry in entries]
                return {"listing": hashlib.sha256(json.dumps(listing).encode()).hexdigest()}
            facts = [path.stat() for path in array_files(self.root) or [self.root]]
        except OSError:
            return None
        first, *others = ({"bytes": each.st_size, "mtime_ns": each.st_mtime_ns} for each in facts)
        return {**first, "labels": others} if others else first

    def read(self, progress: Progress) -> Images:
        """Decode every image. Takes about 8 s for 60,000 of 32 × 32.

        Raises:
            DataError: one line per kind of fault, with the number of files and their first names.
        """
        if files := array_files(self.root):
            progress("reading arrays", 0, 0)
            return self._of_arrays(*self._splits_of(read_pairs(files, str(self.root))))
        with self._tree() as tree:
            faults = Findings()
            entries = tree.entries(faults)
            if (batches := find_batches(entries)) is not None:
                progress("reading batches", 0, 0)
                return self._of_batches(*read_batches(tree, batches, str(self.root)))
            return self._decoded(tree, self._layout(tree, entries, faults), progress)

    def _layout(self, tree: Tree, entries: list[Entry], faults: Findings) -> Layout:
        if len(names := rivals(entries)) > 1:
            raise DataError(
                f"{self.root}: train/ and test/ both in {' and '.join(map(printable, names[:2]))}; set data.root "
                "to one of them"
            )
        tables, is_cut = self._tables(tree, entries), self._settings.test_share > 0
        return split_layout(entries, tables, self._settings.val_folder, cut_test=is_cut, faults=faults)

    def counted(self) -> ListedCounts | None:
        """Counts of a folder, without decoding. None for an archive or for arrays.

        Raises:
            DataError: as `read`, for what a list of files shows.
        """
        if not self.root.is_dir() or array_files(self.root):
            return None
        tree, faults = FolderTree(self.root), Findings()
        entries = tree.entries(faults)
        if find_batches(entries) is not None:
            return None
        found = self._layout(tree, entries, faults)
        found.faults.refuse(str(self.root))
        train, val = ([len(found.files.get(split, {}).get(name, ())) for name in found.classes]
                      for split in ("train", "val"))  # fmt: skip
        if "test" not in found.files:
            train = (np.array(train) - class_shares(self._cut_size(sum(train)), np.array(train))).tolist()
        sizes = tuple(ours + theirs for ours, theirs in zip(train, val, strict=True))
        return ListedCounts(tuple(map(printable, found.classes)), sizes, own_val=sum(val))

    def read_as_test(self, progress: Progress) -> tuple[tuple[str, ...], Split, tuple[str, ...]]:
        """(class names, images, notes) of the test split, or of all images where there are no splits.

        Raises:
            DataError: as `read`.
        """
        if files := array_files(self.root):
            classes, found = self._splits_of(read_pairs(files, str(self.root)))
            split = found.get("test", found.get("all"))
            if split is None:
                raise DataError(f"{self.root}: found arrays of {', '.join(found)}; expected those of test")
            return classes, split, ()
        with self._tree() as tree:
            faults = Findings()
            entries = tree.entries(faults)
            found_layout = test_layout(entries, self._tables(tree, entries), faults)
            by_split = Decoder(tree, found_layout, self._settings.image_size, in_archive=not self.root.is_dir()).splits(
                progress
            )
            found_layout.faults.refuse(str(self.root))
            classes = tuple(map(printable, found_layout.classes))
            return classes, by_split["test"], tuple(found_layout.notes.sentences())

    @contextmanager
    def _tree(self) -> Iterator[Tree]:
        if self.root.is_dir():
            yield FolderTree(self.root)
        else:
            with open_archive(self.root) as tree:
                yield tree

    def _splits_of(self, pairs: Mapping[str, LabelledArrays]) -> tuple[tuple[str, ...], dict[str, Split]]:
        require_memory(str(self.root), sum(len(pair.labels) for pair in pairs.values()), self._settings.image_size)
        return splits(pairs, self._settings.image_size, str(self.root))

    def _of_batches(self, classes: tuple[str, ...], pairs: Mapping[str, LabelledArrays]) -> Images:
        """The same with labels that are numbers of classes."""
        _, found = self._splits_of(pairs)
        numbered = {split: Split(each.images, pairs[split].labels) for split, each in found.items()}
        return self._of_arrays(classes, numbered)

    def _of_arrays(self, classes: tuple[str, ...], found: Mapping[str, Split]) -> Images:
        train, test = found.get("train", found.get("all")), found.get("test")
        if self._settings.val_folder == "test" and test is None:
            test = found.get("val")
        if train is None or (test is None and not self._settings.test_share):
            raise DataError(
                f"{self.root}: found arrays of {', '.join(found)}; expected those of train and test, or set "
                "data.test_share (0.2, say) to cut a test split from these images"
            )
        if test is None:
            train, test = self._cut(train, classes)
        if self._settings.val_folder == "validation" and "val" in found:
            return _with_val(classes, train, found["val"], test, ())
        return Images(classes, train, test)

    def _tables(self, tree: Tree, entries: list[Entry]) -> dict[str, Table]:
        """Tables of labels. A text that cannot be read is none."""
        tables = {}
        for entry in entries:
            if entry.is_folder or not entry.path.lower().endswith(TABLE_SUFFIXES) or entry.bytes > MAX_TABLE_BYTES:
                continue
            if entry.path.count("/") > _TABLE_DEPTH:
                continue
            try:
                table = read_table(entry.path, tree.read(entry))
            except Exception as error:  # as for images
                LOG.debug("%s: %s", entry.path, error)
                continue
            if table is not None:
                tables[entry.path] = table
        return tables

    def _decoded(self, tree: Tree, found: Layout, progress: Progress) -> Images:
        root, side = str(self.root), self._settings.image_size
        require_memory(root, sum(map(len, _per_class(found))), side)
        decoder = Decoder(tree, found, side, in_archive=not self.root.is_dir())
        by_split = decoder.splits(progress)
        found.faults.refuse(root)
        notes = tuple(found.notes.sentences())
        classes = tuple(map(printable, found.classes))
        train, test = by_split["train"], by_split.get("test")
        if test is None:
            train, test = self._cut(train, classes)
        if "val" not in by_split:
            return Images(classes, train, test, notes=notes)
        return _with_val(classes, train, by_split["val"], test, notes)

    def _cut(self, split: Split, classes: tuple[str, ...]) -> tuple[Split, Split]:
        """Training and test split of images without one. Copies of an image stay in the training split."""
        size = self._cut_size(len(split.labels))
        kept, held_out = validation_split(split.labels, size, 0, split.images, classes=classes, key="data.test_share")
        return (
            Split(split.images[kept], split.labels[kept]),
            Split(split.images[held_out], split.labels[held_out]),
        )

    def _cut_size(self, images: int) -> int:
        return max(1, round(self._settings.test_share * images))


def _with_val(classes: tuple[str, ...], train: Split, val: Split, test: Split, notes: tuple[str, ...]) -> Images:
    """Images with a validation split, which stands at the end of the training split."""
    joined = Split(np.concatenate([train.images, val.images]), np.concatenate([train.labels, val.labels]))
    return Images(classes, joined, test, own_val=len(val.labels), notes=notes)


_TABLE_DEPTH = 3
"""Folders above a table of labels. Deeper texts, one per class in Tiny-ImageNet, are not opened."""


def _per_class(found: Layout) -> list[list[Entry]]:
    return [files for classes in found.files.values() for files in classes.values()]
