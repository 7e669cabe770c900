"""Image files of a layout, decoded into one array per split, with every fault and note on the way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cifar_lab.core.errors import EnvironmentFault
from cifar_lab.core.host import available_memory
from cifar_lab.data.decoding_processes import Content, Decoded, decode_files
from cifar_lab.data.file_tree import MAX_FILE_BYTES, Entry, Tree
from cifar_lab.data.findings import Kind, reason_of
from cifar_lab.data.layout import Layout
from cifar_lab.data.splits import Progress, Split

TOO_BIG = Kind(
    f"{{name}} has {{reason}} bytes, at most {MAX_FILE_BYTES:,} are read; remove it",
    f"{{count}} files have more than {MAX_FILE_BYTES:,} bytes: {{names}}; remove them",
)
UNREADABLE = Kind("{name} cannot be read{because}; check the file", "{count} files cannot be read: {names}; check them")
NOT_UNPACKED = Kind(
    "{name} cannot be unpacked{because}; create the archive again",
    "{count} files cannot be unpacked: {names}; create the archive again",
)

_REPORT_EVERY = 250  # images


def require_memory(root: str, count: int, side: int) -> None:
    """Check that the images fit into memory.

    Raises:
        EnvironmentFault: they do not.
    """
    needed, free = count * 3 * side * side, available_memory()
    if free is not None and needed > free:
        raise EnvironmentFault(
            f"{root}: {count:,} images of {side} × {side} take {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB of memory "
            "are free; choose a smaller data.image_size, or model.input_size, which enlarges batches on the device"
        )


class Decoder:
    """Decoding of all images, with every fault and note on the way."""

    def __init__(self, tree: Tree, found: Layout, side: int, *, in_archive: bool) -> None:
        self._tree = tree
        self._found = found
        self._side = side
        self._read_fault = NOT_UNPACKED if in_archive else UNREADABLE

    def splits(self, progress: Progress) -> dict[str, Split]:
        """Each split, ordered by class and path. Read in the order of the archive."""
        labels = {name: label for label, name in enumerate(self._found.classes)}
        splits, work = {}, []
        for split, classes in self._found.files.items():
            files = [
                (labels[name], entry) for name in sorted(classes.keys() & labels.keys()) for entry in classes[name]
            ]
            images = np.zeros((len(files), 3, self._side, self._side), np.uint8)
            splits[split] = Split(images, np.array([label for label, _ in files], np.int64))
            work += [(entry, images, index) for index, (_, entry) in enumerate(files)]
        work.sort(key=lambda each: each[0].offset)
        total = sum(min(entry.bytes, MAX_FILE_BYTES) for entry, _, _ in work)
        decoded = decode_files((self._content(entry) for entry, _, _ in work), self._side, len(work), total)
        for done, ((entry, images, index), result) in enumerate(zip(work, decoded, strict=True), 1):
            self._take(entry, result, images[index])
            if done % _REPORT_EVERY == 0 or done == len(work):
                progress("decoding images", done, len(work))
        return splits

    def _content(self, entry: Entry) -> Content:
        if entry.bytes > MAX_FILE_BYTES:
            return Decoded(None, [TOO_BIG], f"{entry.bytes:,}")
        try:
            return self._tree.read(entry)
        except Exception as error:  # zipfile, tarfile, zlib, lzma and bz2 each have their own
            return Decoded(None, [self._read_fault], reason_of(error))

    def _take(self, entry: Entry, decoded: Decoded, target: NDArray[np.uint8]) -> None:
        if decoded.pixels is None:
            self._found.faults.add(decoded.kinds[0], entry.path, decoded.reason)
            return
        target[:] = decoded.pixels
        for kind in decoded.kinds:
            self._found.notes.add(kind, entry.path)
