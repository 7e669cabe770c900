"""What the driver has put into the cluster's object store for nodes to take: images, and files that settings name."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cifar_lab.config import CustomModel, Data, Settings
from cifar_lab.config.model_source import source_files
from cifar_lab.data import shipping


class ObjectStore:
    """Puts each thing there once; every node fetches it once for all workers on it."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._images: dict[str, Any] = {}
        self._files: dict[tuple[str, int, int], Any] = {}
        self._lock = threading.Lock()

    def images(self, data: Data, fingerprint: str) -> Any:
        """A reference to the `Cargo` of these images."""
        with self._lock:
            if fingerprint not in self._images:
                self._images[fingerprint] = self._ray.put(shipping.pack(data, fingerprint))
            return self._images[fingerprint]

    def files(self, settings: Sequence[Settings]) -> dict[str, Any]:
        """Path → a reference to the content of each file that the models of these settings are made of."""
        paths = dict.fromkeys(path for each in settings for path in _files_of(each))
        return {str(path): self._file(path) for path in paths}

    def _file(self, path: Path) -> Any:
        found = path.stat()
        key = (str(path), found.st_size, found.st_mtime_ns)
        with self._lock:
            if key not in self._files:
                self._files[key] = self._ray.put(path.read_bytes())
            return self._files[key]


def _files_of(settings: Settings) -> list[Path]:
    """Files on the driver's machine; a model in a package is installed on every node, or is not found there."""
    if isinstance(settings.model, CustomModel):
        by_path = settings.model.name.rpartition(":")[0].endswith(".py")
        return [path.absolute() for path in source_files(settings.model.name)] if by_path else []
    return [Path(settings.model.weights)] if settings.model.weights is not None else []
