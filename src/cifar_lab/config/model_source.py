"""Place of a custom model: its file, the name under which it is imported, and every file that belongs to it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Final

from cifar_lab.config.model_imports import imported_files, imports_of, is_importable, is_installed
from cifar_lab.core.errors import SettingsError
from cifar_lab.core.extras import require_extra
from cifar_lab.core.files import require_file
from cifar_lab.core.host import located

TIMM: Final = "timm"
"""`timm:NAME` is a model of timm's registry."""

OUTER_FOLDERS = 3
"""Folders above that of a model file in which its imports are found, if they are not installed."""


@dataclass(frozen=True)
class ModelSource:
    """Place of the code of a custom model, and the way to import it."""

    file: Path
    """The Python file that `model.name` means."""
    module: str
    """Dotted name under which the file is imported."""
    roots: tuple[Path, ...] = ()
    """Folders in which its absolute imports are found before installed packages."""
    outer: tuple[Path, ...] = ()
    """Folders in which they are found after installed packages."""
    package: Path | None = None
    """Folder of the package that `module` begins with, if relative imports need one."""
    installed: str | None = None
    """Name and version of the installed package. It stands for all files in the id of a run."""

    def files(self) -> list[Path]:
        """The file, then every other Python file outside installed packages that it imports, sorted."""
        if self.installed is not None:
            return [self.file]
        found = set(imported_files(self.file, self.roots, self.outer))
        for above in self._packages():  # Python runs them first
            found |= {above, *imported_files(above, self.roots, self.outer)}
        return [self.file, *sorted(found - {self.file})]

    def _packages(self) -> list[Path]:
        count = self.module.count(".") + (self.file.name == "__init__.py")
        return [path for folder in self.file.parents[:count] if (path := folder / "__init__.py").is_file()]


def model_source(model_name: str, key: str = "model.name") -> ModelSource:
    """Find the code of `file.py:NAME`, `package.module:NAME` or `timm:NAME` without running it.

    Args:
        key: setting that names it, for messages.

    Raises:
        SettingsError: the file or module does not exist.
        MissingExtraError: timm is not installed.
    """
    where = model_name.rpartition(":")[0]
    if where.endswith(".py"):
        return _in_file(_require(where, key))
    if where == TIMM and key == "model.name":
        require_extra(TIMM, f"model.name: {model_name}")
    return _in_working_folder(where) or _in_package(where, key)


def source_file(model_name: str) -> Path:
    """The Python file of a custom model. Errors as `model_source`."""
    return model_source(model_name).file


def source_files(model_name: str) -> list[Path]:
    """The model's file and the files that belong to it. Errors as `model_source`."""
    return model_source(model_name).files()


def _require(where: str, key: str) -> Path:
    path = located(where)
    try:
        require_file(path)
    except (FileNotFoundError, NotADirectoryError):
        raise SettingsError(f"{key}: no file {where}; give the path relative to the settings file") from None
    except OSError as error:
        raise SettingsError(f"{key}: {where} cannot be read ({error.strerror}); name a Python file") from error
    return path


def _in_file(path: Path) -> ModelSource:
    """Source of `file.py:NAME`: a single module, or one of a package if it has relative imports."""
    package = _package_of(path)
    climbed = _climbed(path.parent)
    roots = tuple(dict.fromkeys([path.parent, *([climbed.parent] if climbed is not None else [])]))
    outer = tuple(folder for folder in _outer(path) if folder not in roots)
    if package is None:
        return ModelSource(path, f"cifar_lab_custom_{path.stem}", roots, outer)
    below = path.relative_to(package).with_suffix("").parts
    below = below[:-1] if below[-1] == "__init__" else below
    return ModelSource(path, ".".join([_package_name(package), *below]), roots, outer, package)


def _package_of(path: Path) -> Path | None:
    """Topmost folder that the relative imports of a file and of the files that it so imports need. None without any."""
    top: Path | None = None
    for source in [path, *imported_files(path, (), ())]:
        levels = [each.level for each in imports_of(source) if 0 < each.level < len(source.parents)]
        if levels:
            needed = source.parents[max(levels) - 1]
            top = needed if top is None or needed in top.parents else top
    return None if top is None else _climbed(top) or top


def _climbed(folder: Path) -> Path | None:
    """Topmost of the folders from `folder` up that have an `__init__.py`. None if it has none itself."""
    top = None
    for each in (folder, *folder.parents):
        if not (each / "__init__.py").is_file():
            break
        top = each
    return top


def _package_name(package: Path) -> str:
    """Name of the package in `sys.modules`: the folder's own, unless that is no name or another package's."""
    name = package.name
    return name if name.isidentifier() and not is_importable(name) else "cifar_lab_custom_package"


def _outer(path: Path) -> list[Path]:
    """Folders above that of a file, up to the root of its repository."""
    folders = []
    for folder in path.absolute().parents[:OUTER_FOLDERS]:
        if folder in (Path.home(), Path(folder.anchor)):
            break
        folders.append(folder)
        if (folder / ".git").exists():
            break
    return folders[1:]


def _in_working_folder(where: str) -> ModelSource | None:
    """Source of `package.module:NAME` below the working folder, as Python itself would find it first."""
    here = Path.cwd()
    file = _module_file(here, where.split("."))
    if file is None or is_installed(file.resolve()):
        return None
    return ModelSource(file, where, (here,))


def _module_file(folder: Path, parts: list[str]) -> Path | None:
    base = folder.joinpath(*parts)
    candidates = (base / "__init__.py", base.parent / f"{base.name}.py")
    return next((path for path in candidates if path.is_file()), None)


def _in_package(where: str, key: str) -> ModelSource:
    """Source of `package.module:NAME` on Python's path."""
    top, *rest = where.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is not None and not rest and spec.origin:
        return _found(Path(spec.origin), where)
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        path = _module_file(Path(folder), rest)
        if path is not None:
            return _found(path, where)
    raise SettingsError(f"{key}: no module {where!r}; install its package or give path/to/file.py:NAME")


def _found(path: Path, where: str) -> ModelSource:
    if is_installed(path.resolve()):
        return ModelSource(path, where, installed=_distribution(where.partition(".")[0]))
    above = path.parents[where.count(".") + (path.name == "__init__.py")]
    return ModelSource(path, where, (above,))


@cache
def _distribution(top: str) -> str:
    """Name and version of the installed package that has the top-level module, without a local version."""
    try:
        name, found = top, version(top)
    except PackageNotFoundError:
        names = packages_distributions().get(top, [])
        if not names:
            return f"{top} of Python"
        name = sorted(names)[0]
        found = version(name)
    return f"{name} {found.partition('+')[0]}"
