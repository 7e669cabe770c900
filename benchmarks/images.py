"""The images of benchmarks of whole commands: a share of a zip of JPEG files, the same for both sides."""

from __future__ import annotations

import zipfile
from pathlib import Path

PARTS = ("train", "test")


def share_of(zip_file: Path, share: float, folder: Path) -> Path:
    """A zip with the first `share` of each class and split of `zip_file`, made once; the file itself where it is 1.

    Raises:
        OSError, zipfile.BadZipFile: `zip_file` cannot be read.
    """
    if share >= 1:
        return zip_file.resolve()
    path = folder / f"{zip_file.stem}-{share:g}.zip"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(zip_file) as archive:
        classes: dict[tuple[str, str], list[str]] = {}
        for name in sorted(archive.namelist()):
            parts = name.split("/")
            if len(parts) >= 3 and parts[-3] in PARTS and name.endswith(".jpg"):
                classes.setdefault((parts[-3], parts[-2]), []).append(name)
        fresh = path.with_suffix(".new")
        with zipfile.ZipFile(fresh, "w", zipfile.ZIP_STORED) as smaller:
            for (part, label), names in classes.items():
                for name in names[: max(1, round(share * len(names)))]:
                    smaller.writestr(f"{part}/{label}/{name.rpartition('/')[2]}", archive.read(name))
    fresh.replace(path)
    return path
