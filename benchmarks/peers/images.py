"""Images for the peers: decoded once from a zip of JPEG files, or random bytes where only time is measured."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

Pixels = np.ndarray
"""(N, 32, 32, 3) uint8."""


def random_images(count: int) -> tuple[Pixels, np.ndarray]:
    """(pixels, labels) from a fixed seed."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(256, size=(count, 32, 32, 3), dtype=np.uint8)
    return pixels, generator.integers(10, size=count, dtype=np.int64)


def decode(zip_path: Path, cache: Path) -> None:
    """Write {train,test}_{images,labels}.npy from `<any>/<split>/<class>/<name>.jpg`; classes in alphabetical order.

    Nothing is done where they are there: the last file written means that the split is whole.
    """
    from PIL import Image

    cache.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(zip_path) as archive:
        for split in ("train", "test"):
            if (cache / f"{split}_labels.npy").exists():
                continue
            names = sorted(n for n in archive.namelist() if f"/{split}/" in f"/{n}" and n.endswith(".jpg"))
            classes = sorted({name.split("/")[-2] for name in names})
            images = np.stack([np.asarray(Image.open(io.BytesIO(archive.read(n))).convert("RGB")) for n in names])
            labels = np.array([classes.index(name.split("/")[-2]) for name in names])
            np.save(cache / f"{split}_images.npy", images)
            np.save(cache / f"{split}_labels.npy", labels)


def load(cache: Path, split: str) -> tuple[Pixels, np.ndarray]:
    """(pixels, labels) of a split that has been decoded."""
    return np.load(cache / f"{split}_images.npy"), np.load(cache / f"{split}_labels.npy")
