"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images).

torchvision reads the batches and checks the MD5 of each. They are pickles, which can run code. So the SHA-256 of the
archive is verified here first. The download is made here too, because torchvision's (0.26 to 0.29) writes to the final
name and falls back from https to http.
"""

from __future__ import annotations

import logging
import shutil
import tarfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cifar_lab.config import Cifar10, Cifar100
from cifar_lab.core.download import NotFetched, fetch, sha256_of
from cifar_lab.core.errors import DataError, EnvironmentFault
from cifar_lab.core.files import open_file, require_file
from cifar_lab.data import cache
from cifar_lab.data.splits import Images, Progress, Split

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Archive:
    """A published archive. SHA-256 as in Keras and in torchvision's prototype data sets."""

    file_name: str
    sha256: str
    folder: str
    """Folder in the archive, as torchvision expects it."""
    members: tuple[str, ...]
    """Files to extract. Others are ignored."""
    url: str


ARCHIVES = {
    "cifar10": Archive(
        file_name="cifar-10-python.tar.gz",
        sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        folder="cifar-10-batches-py",
        members=(*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"),
        url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    ),
    "cifar100": Archive(
        file_name="cifar-100-python.tar.gz",
        sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        folder="cifar-100-python",
        members=("train", "test", "meta"),
        url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    ),
}


class CifarSource:
    """An archive in `data.root`, downloaded if missing. The unpacked folder is accepted too."""

    synthetic = False

    def __init__(self, name: str, root: str | None) -> None:
        self.name = name
        self.archive = ARCHIVES[name]
        self.root = cache.home() / "downloads" if root is None else Path(root).expanduser().absolute()
        if self.root.name in (self.archive.folder, self.archive.file_name):
            self.root = self.root.parent

    def key(self) -> Mapping[str, Any]:
        """Checksum of the archive. The folder does not matter."""
        return {"sha256": self.archive.sha256}

    def state(self) -> dict[str, Any] | None:
        """Constant, because the published checksums are verified when the images are read."""
        return {}

    def read(self, progress: Progress) -> Images:
        """Both splits, from the unpacked folder, the archive or the network, in this order."""
        if (self.root / self.archive.folder).is_dir():
            progress(f"reading {self.archive.folder}", 0, 0)
            try:
                for member in self.archive.members:  # torchvision would wait for a pipe
                    require_file(self.root / self.archive.folder / member)
                return self._through_torchvision(self.root)
            except (RuntimeError, OSError):
                LOG.warning(
                    "%s: a file is missing or its MD5 does not match; reading the archive instead",
                    self.root / self.archive.folder,
                )
        path = self.root / self.archive.file_name
        broken = self._fault_of(path)
        if broken is not None:
            if path.exists():
                LOG.warning("%s: %s; it is downloaded again", path, broken)
            self._fetch(path, broken, progress)
        return self._from_archive(path, progress)

    def _fault_of(self, path: Path) -> str | None:
        """Fault of the archive at `path`, as text. None if it is intact."""
        try:
            with open_file(path) as file:
                found = sha256_of(file)
        except FileNotFoundError:
            return "missing"
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
        return None if found == self.archive.sha256 else f"SHA-256 is {found}, expected {self.archive.sha256}"

    def _fetch(self, path: Path, broken: str, progress: Progress) -> None:
        try:
            fetch(self.archive.url, path, self.archive.sha256, progress, "set data.root to a writable folder")
        except NotFetched as error:
            raise DataError(
                f"{path}: {broken}, and {self.archive.url} could not be downloaded: {error}. "
                f"Put {self.archive.file_name} (SHA-256 {self.archive.sha256}) into {path.parent}, "
                "or use other images: --set data.dataset=imagefolder --set data.root=PATH (your folder or zip file) or "
                "--set data.dataset=synthetic (synthetic images)"
            ) from error

    def _from_archive(self, path: Path, progress: Progress) -> Images:
        """Unpack the known members into a temporary folder, read them, and remove the folder."""
        unpacked = cache.home() / f".{self.name}.unpacked"  # one name, so that a killed process's is found again
        target = unpacked / self.archive.folder
        try:
            with open_file(path) as file:
                if sha256_of(file) != self.archive.sha256:  # again, on the very file that is then unpacked
                    raise DataError(f"{path}: changed while it was read; run again")
                shutil.rmtree(unpacked, ignore_errors=True)
                target.mkdir(parents=True)
                with tarfile.open(fileobj=file, mode="r:gz") as tar:
                    for done, member in enumerate(self.archive.members):
                        progress(f"unpacking {path.name}", done, len(self.archive.members))
                        content = tar.extractfile(f"{self.archive.folder}/{member}")
                        if content is None:
                            raise DataError(f"{path}: {member} is not a file in it")
                        (target / member).write_bytes(content.read())
                progress(f"reading {self.archive.folder}", 0, 0)
                return self._through_torchvision(unpacked)
        except (RuntimeError, KeyError, tarfile.TarError, EOFError) as error:
            raise DataError(
                f"{path}: not the expected archive ({_one_line(error)}); delete it and run again"
            ) from error
        except OSError as error:
            raise EnvironmentFault(
                f"{cache.home()}: {error.strerror or error}; free some space there and check the "
                "permissions, or set CIFAR_LAB_CACHE"
            ) from error
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)

    def _through_torchvision(self, root: Path) -> Images:
        """Read `root/<folder>`. torchvision checks the MD5 of every file before it unpickles one.

        Memory peaks near 1 GB: 0.3 GB of images and 0.7 GB from importing torchvision.
        """
        from torchvision.datasets import CIFAR10, CIFAR100

        kind = CIFAR10 if self.name == "cifar10" else CIFAR100
        splits = []
        with warnings.catch_warnings():
            # The published pickles hold dtype('u1', 0, 1), for which numpy 2.4.0 to 2.4.4 warn (numpy#31177).
            warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)
            for train in (True, False):
                data = kind(root=str(root), train=train, download=False)
                images = np.ascontiguousarray(data.data.transpose(0, 3, 1, 2))  # (N, 32, 32, 3) → (N, 3, 32, 32)
                splits.append(Split(images, np.asarray(data.targets, np.int64)))
                classes = tuple(data.classes)
                del data  # its own copy of the images
        return Images(classes, splits[0], splits[1])


class Cifar10Source(CifarSource):
    """CIFAR-10: 10 classes."""

    def __init__(self, data: Cifar10) -> None:
        super().__init__("cifar10", data.root)


class Cifar100Source(CifarSource):
    """CIFAR-100: 100 classes, the fine labels."""

    def __init__(self, data: Cifar100) -> None:
        super().__init__("cifar100", data.root)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
