"""Lend torch from this environment to another one, and nothing else: `python lend_torch.py FOLDER OTHER_VENV`.

FOLDER becomes a folder of links to the files of torch, torchvision and what only they bring; a `.pth` file in the other
environment puts it on the path. pip then sees them as installed there.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import distributions
from pathlib import Path

LENT = re.compile(r"torch|torchvision|triton|nvidia-.+|cuda-.+", re.IGNORECASE)


def main(folder: Path, other: Path) -> None:
    folder.mkdir()
    for found in distributions():
        if LENT.fullmatch(found.name):
            for top in {file.parts[0] for file in found.files or []} - {"..", "__pycache__"}:
                link = folder / top
                if not link.exists():
                    link.symlink_to(Path(str(found.locate_file(top))).resolve())
    (packages,) = other.glob("lib/python3*/site-packages")
    (packages / "lent_torch.pth").write_text(f"{folder}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
