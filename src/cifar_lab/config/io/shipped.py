"""Settings files that ship with cifar-lab, under the names that they have in a checkout: `configs/baseline.yaml`."""

from __future__ import annotations

import logging
import os
from functools import cache
from pathlib import Path

LOG = logging.getLogger(__name__)

FOLDER = "configs"
"""First part of the path of a shipped file."""


@cache
def shipped_folder() -> Path | None:
    """Folder of the shipped files: in the package of a wheel, at the top of a checkout. None where it is missing."""
    package = Path(__file__).parents[2]
    places = (package / FOLDER, package.parents[1] / FOLDER)
    return next((place for place in places if (place / "baseline.yaml").is_file()), None)


def shipped_file(path: Path) -> Path | None:
    """The shipped file that a path means. None where the path exists, or names no shipped file.

    A path that begins with `configs/`, seen from the working directory, means a shipped file unless it exists.
    """
    if os.path.lexists(path):  # a broken link too: the user put something there
        return None
    first, *rest = Path(os.path.relpath(path)).parts
    folder = shipped_folder()
    if first != FOLDER or not rest or ".." in rest or folder is None:
        return None
    found = folder.joinpath(*rest)
    return found if found.is_file() else None


def readable(path: Path) -> Path:
    """The file to read for `path`: itself, or the shipped file that it means. The first of a process is logged."""
    try:
        found = shipped_file(path)
    except (OSError, ValueError):
        return path
    if found is None:
        return path
    _say_once(os.path.relpath(path))
    return found


def file_exists(path: Path) -> bool:
    """Whether `path` is a file, or means a shipped one."""
    try:
        return path.is_file() or shipped_file(path) is not None
    except (OSError, ValueError):
        return False


def beside(folder: Path, name: str) -> Path:
    """Path of a file that a file in `folder` names.

    A name that begins with `configs/` and is not there means the shipped file, from every folder.
    """
    path = folder / Path(name).expanduser()
    if not file_exists(path) and Path(name).parts[:1] == (FOLDER,) and shipped_file(Path(name)) is not None:
        return Path(name)
    return path


_said: list[str] = []
"""First shipped file of this process."""


def _say_once(name: str) -> None:
    if not _said:
        _said.append(name)
        LOG.warning(
            "%s is not in this folder; files that ship with cifar-lab replace what is missing under %s/", name, FOLDER
        )


def shipped_names() -> list[str]:
    """Names of all shipped files."""
    folder = shipped_folder()
    return sorted(path.name for path in folder.glob("*.yaml")) if folder else []
