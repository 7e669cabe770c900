"""Pack: one archive of a lab, with its records, predictions, settings, sources and claims. No torch.

The archive is a zip file without compression, whose bytes depend on the packed files alone. It is written to a
temporary name and renamed, and unpacked into a temporary folder that is renamed, so that neither is ever half there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifar_lab.core._version import __version__
from cifar_lab.core.atomic_io import (
    disk_errors,
    make_folder,
    new_file,
    remove_folder,
    rename,
    replacement,
    temporary_path,
)
from cifar_lab.core.errors import DataError, SettingsError
from cifar_lab.core.files import open_file, read_file
from cifar_lab.store.documents import parse_document, seal_document
from cifar_lab.store.pack_names import LAB, MANIFEST, RESULTS, WEIGHTS, is_packed_name
from cifar_lab.store.packed import write_packed

PACK_FORMAT = 1
"""Version of the archive. A pack of a newer one is refused by name."""

EPOCH = (1980, 1, 1, 0, 0, 0)
"""Date of every file of an archive: the first that a zip file can state."""

LARGEST_MANIFEST = 256 * 2**20
"""Bytes."""

_FILE_MODE = (stat.S_IFREG | 0o644) << 16


@dataclass(frozen=True)
class Manifest:
    """Content of pack.json."""

    cifar_lab: str
    """Version that wrote the pack."""
    folder: str
    """Working folder of the lab, relative to the folder of its files. `.` where it is the same."""
    has_weights: bool
    digests: Mapping[str, str]
    """SHA-256 of every file, by its name in the archive."""
    size: int
    """Bytes of all files."""

    @property
    def runs(self) -> int:
        """Number of finished runs."""
        return sum(name.startswith(f"{RESULTS}runs/") and name.endswith("/record.json") for name in self.digests)


def write_pack(path: Path, files: Mapping[str, Path], folder: str, *, weights: bool) -> Manifest:
    """Write an archive with these files.

    Args:
        path: of the archive, which must not exist.
        files: file by its name in the archive.
        folder: see `Manifest`.
        weights: whether the weights of the runs are among the files.

    Raises:
        SettingsError: the archive exists.
        DataError: a file changed while it was packed, or cannot be read.
        EnvironmentFault: the archive cannot be written.
    """
    if os.path.lexists(path):
        raise SettingsError(f"{path}: exists; remove it, or name another file with --out")
    digests, size = {}, 0
    for name in sorted(files):
        content = _content(files[name])
        digests[name], size = hashlib.sha256(content).hexdigest(), size + len(content)
    values = {"pack": PACK_FORMAT, "cifar_lab": __version__, "folder": folder, "weights": weights, "files": digests}
    with replacement(path, size) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry(MANIFEST), seal_document(values))
        for name in sorted(files):
            content = _content(files[name])
            if hashlib.sha256(content).hexdigest() != digests[name]:
                raise DataError(f"{files[name]}: changed while it was packed; run the same command again")
            archive.writestr(_entry(name), content)
    return Manifest(__version__, folder, weights, digests, size)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.create_system, entry.external_attr = 3, _FILE_MODE
    return entry


def _content(path: Path) -> bytes:
    try:
        return read_file(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


# --- reading ----------------------------------------------------------------------------------------------------------


def unpack(path: Path, folder: Path) -> Manifest:
    """Check an archive and write its files into a folder, all or none of them.

    Args:
        folder: must not exist, or be empty.

    Raises:
        SettingsError: the folder has files.
        DataError: the file is no pack, is damaged, or has files that no pack has. Nothing is written.
        EnvironmentFault: the folder cannot be written.
    """
    if os.path.lexists(folder) and (folder.is_symlink() or not folder.is_dir() or next(folder.iterdir(), None)):
        raise SettingsError(f"{folder}: exists and is not an empty folder; name another folder")
    folder = folder.absolute()
    temporary = temporary_path(folder)
    with _opened(path) as archive:
        manifest = _manifest(path, archive)
        make_folder(folder.parent)
        with disk_errors(folder, manifest.size):
            remove_folder(temporary)
            try:
                _extract(path, archive, manifest, temporary)
                rename(temporary, folder)
            except BaseException:
                with contextlib.suppress(OSError):
                    remove_folder(temporary)
                raise
    return manifest


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """An archive whose structure is that of a pack."""
    try:
        with open_file(path) as file, zipfile.ZipFile(file) as archive:
            _check_entries(path, archive, os.fstat(file.fileno()).st_size)
            yield archive
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path}: is damaged, or is no pack ({error})") from error
    except FileNotFoundError as error:
        if error.filename == str(path):
            raise SettingsError(f"no file {path}") from error
        raise


def _check_entries(path: Path, archive: zipfile.ZipFile, size: int) -> None:
    """Refuse entries that no pack has: links, folders, compressed or encrypted files, two of one name.

    Raises:
        DataError: one of them.
    """
    entries = archive.infolist()
    for entry in entries:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        is_plain = entry.compress_type == zipfile.ZIP_STORED and entry.compress_size == entry.file_size
        if not is_plain or entry.flag_bits & 1 or kind not in (0, stat.S_IFREG):
            raise _foreign(path, entry.filename)
        if entry.filename != MANIFEST and not is_packed_name(entry.filename):
            raise _foreign(path, entry.filename)
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        raise DataError(f"{path}: has two files of one name, so it is no pack; nothing was unpacked")
    if sum(entry.file_size for entry in entries) > size:
        raise DataError(f"{path}: its files are larger than itself, so it is no pack; nothing was unpacked")


def _foreign(path: Path, name: str) -> DataError:
    return DataError(f"{path}: has the file {name[:200]!r}, which no pack has; nothing was unpacked")


def _manifest(path: Path, archive: zipfile.ZipFile) -> Manifest:
    """Manifest of an archive, which names exactly its files.

    Raises:
        DataError: it is missing, damaged or of a newer version, or names other files.
    """
    sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    if MANIFEST not in sizes or sizes.pop(MANIFEST) > LARGEST_MANIFEST:
        raise DataError(f"{path}: has no {MANIFEST}, so it is no pack; make one with cifar-lab pack")
    found = parse_document(Path(f"{path}:{MANIFEST}"), archive.read(MANIFEST))
    values: dict[str, Any] = found.values
    if type(values.get("pack")) is int and values["pack"] > PACK_FORMAT:
        raise DataError(f"{path}: is a pack of format {values['pack']}; install a newer cifar-lab")
    digests, folder = values.get("files"), values.get("folder")
    is_right = (
        found.is_checked
        and values.get("pack") == PACK_FORMAT
        and isinstance(digests, dict)
        and isinstance(folder, str)
        and (folder == "." or is_packed_name(f"{LAB}{folder}"))
    )
    if not is_right or not isinstance(digests, dict) or digests.keys() != sizes.keys():
        raise DataError(f"{path}: is damaged ({MANIFEST} does not name its files)")
    version, has_weights = str(values.get("cifar_lab", ""))[:40], values.get("weights") is True
    return Manifest(version, str(folder), has_weights, digests, sum(sizes.values()))


def _extract(path: Path, archive: zipfile.ZipFile, manifest: Manifest, folder: Path) -> None:
    """Write the files, each after its checksum was compared."""
    results = folder / manifest.folder / "results"
    make_folder(results)
    for name, digest in manifest.digests.items():
        content = archive.read(name)
        if hashlib.sha256(content).hexdigest() != digest:
            raise DataError(f"{path}: {name} is damaged (its SHA-256 differs from {MANIFEST}); nothing was unpacked")
        where, base = (RESULTS, results) if name.startswith(RESULTS) else (LAB, folder)
        target = base / name.removeprefix(where)
        if where == LAB and results in target.parents:
            raise _foreign(path, name)
        make_folder(target.parent)
        with new_file(target) as file:
            file.write(content)
    write_packed(results, ["checkpoint.bin", *([] if manifest.has_weights else [WEIGHTS])])
