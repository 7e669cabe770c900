"""Import of a custom model's code: always from its text, and from the folders that the run id covers."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import random
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.abc import MetaPathFinder
from importlib.machinery import FileFinder, ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np
import torch

from cifar_lab.config.model_imports import is_installed
from cifar_lab.config.model_source import ModelSource
from cifar_lab.core.files import read_document


class _TextLoader(SourceFileLoader):
    """Loader that compiles the text that the run id hashes. A cached copy could differ from it."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = compile(read_document(Path(path)), path, "exec", dont_inherit=True)
        return code


class _UserFinder(MetaPathFinder):
    """Finder of modules in the user's folders."""

    def __init__(self, folders: Sequence[Path], source: ModelSource | None = None) -> None:
        self._folders = [str(folder.absolute()) for folder in folders]
        self._source = source
        self._packages = [*self._folders, *([str(source.package.absolute())] if source and source.package else [])]
        self._stated = {path.stem for path in source.files()} if source is not None else set()
        self.served: set[str] = set()
        """Names of the modules that it found."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = self._own(fullname) or self._in_folders(fullname, path)
        if spec is not None:
            self.served.add(fullname)
        return spec

    def _own(self, fullname: str) -> ModuleSpec | None:
        """The model's own module, or the package that its relative imports need."""
        source = self._source
        if source is None:
            return None
        if fullname == source.module:
            return _spec(fullname, source.file)
        if source.package is not None and fullname == source.module.partition(".")[0]:
            return _package_spec(fullname, source.package)
        return None

    def _in_folders(self, fullname: str, path: Sequence[str] | None) -> ModuleSpec | None:
        if path is None:
            # A library that imports a module of Python for the first time must not find the user's file of that name.
            if fullname in sys.stdlib_module_names and fullname not in self._stated:
                return None
            folders: Sequence[str] = self._folders
        else:
            folders = [each for each in path if self._is_below(Path(each))]
        for folder in folders:
            spec = FileFinder(folder, (_TextLoader, [".py"])).find_spec(fullname)
            if spec is not None and (spec.loader is not None or path is not None or not _installed(fullname)):
                return spec
        return None

    def _is_below(self, folder: Path) -> bool:
        """Whether a folder of a package is one of the user's."""
        above = {str(each) for each in (folder, *folder.parents)}
        return not above.isdisjoint(self._packages) and not is_installed(folder / "module.py")


def _spec(name: str, file: Path) -> ModuleSpec | None:
    inside = [str(file.parent.absolute())] if file.name == "__init__.py" else None
    path = str(file)
    return importlib.util.spec_from_file_location(
        name, path, loader=_TextLoader(name, path), submodule_search_locations=inside
    )


def _package_spec(name: str, folder: Path) -> ModuleSpec | None:
    """Package of a folder, also without an `__init__.py`."""
    if (folder / "__init__.py").is_file():
        return _spec(name, folder / "__init__.py")
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = [str(folder.absolute())]
    return spec


def _installed(name: str) -> bool:
    spec = PathFinder.find_spec(name)
    return spec is not None and spec.loader is not None


@contextlib.contextmanager
def forked_generators() -> Iterator[None]:
    """Restore the global generators of torch on the CPU, NumPy and Python after the block."""
    of_numpy, of_python = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        np.random.set_state(of_numpy)
        random.setstate(of_python)


_ACTIVE: list[_UserFinder] = []
"""Finders of the code that was imported last. Its functions may import more of its files at any time."""

_LOADED: dict[str, set[str]] = {"before": set()}
"""Modules of the process before it."""

_CHANGING = threading.Lock()


_BEFORE: dict[str, Any] = {}
"""Global settings of torch before the first custom model."""


def restore_defaults() -> None:
    """Take back what the code of an earlier model changed in torch for the whole process."""
    if not _BEFORE:
        return
    torch.set_default_dtype(_BEFORE["dtype"])
    if torch.get_default_device() != _BEFORE["device"]:
        torch.set_default_device(_BEFORE["device"])
    torch.set_grad_enabled(_BEFORE["grad"])


def _note_defaults() -> None:
    if not _BEFORE:
        _BEFORE.update(
            dtype=torch.get_default_dtype(),
            device=torch.get_default_device(),
            grad=torch.is_grad_enabled(),
        )


def import_model_module(source: ModelSource) -> ModuleType:
    """Import the module of a custom model anew. The code of the run before it is forgotten.

    The folders of the model stay importable until the next one, for imports in its functions.
    """
    forget_code()
    return import_code(source)


def forget_code() -> None:
    """Forget all code of the user, so that it is imported anew."""
    _note_defaults()
    with _CHANGING:
        for finder in _ACTIVE:
            sys.meta_path.remove(finder)
            for name in finder.served:
                sys.modules.pop(name, None)
        if _ACTIVE:
            for name in _imported_since():
                sys.modules.pop(name, None)
        _ACTIVE.clear()
        _LOADED["before"] = set(sys.modules)


def import_code(source: ModelSource) -> ModuleType:
    """Import a module of the user beside those that the run has imported.

    Raises:
        ImportError: a file of another folder has the name of one of its files.
    """
    source = _with_free_name(source)
    with _CHANGING:
        if source.installed is None and source.module not in sys.modules:
            first, last = _UserFinder(source.roots, source), _UserFinder(source.outer)
            sys.meta_path.insert(0, first)
            sys.meta_path.append(last)
            _ACTIVE.extend((first, last))
    importlib.invalidate_caches()
    module = importlib.import_module(source.module)
    _refuse_namesakes(source)
    return module


def _with_free_name(source: ModelSource) -> ModelSource:
    """The source under another name if a file of another folder has its own."""
    if source.installed is not None or source.package is not None or not source.module.startswith("cifar_lab_custom_"):
        return source
    found = _file_of(source.module)
    if found is None or found == source.file.resolve():
        return source
    digits = hashlib.sha256(str(source.file.resolve()).encode()).hexdigest()[:8]
    return replace(source, module=f"{source.module}_{digits}")


def _refuse_namesakes(source: ModelSource) -> None:
    """Raise ImportError if the code got a module of another folder, which the run id does not cover under its name."""
    files = source.files() if source.installed is None else []
    for path in files[1:]:
        found = _file_of(path.stem)
        if found is not None and found != path.resolve() and not is_installed(found) and path.parent in source.roots:
            raise ImportError(f"{path} and {found} have one name and are in one run; rename one of them")


def _file_of(name: str) -> Path | None:
    """File of a module that is imported."""
    file = getattr(sys.modules.get(name), "__file__", None)
    return Path(file).resolve() if file else None


def uncovered_files(*sources: ModelSource) -> list[Path]:
    """Python files outside installed packages that were imported since, and that the run id does not cover."""
    own = [source for source in sources if source.installed is None]
    if not own:
        return []
    covered = {path.resolve() for source in own for path in source.files()}
    return sorted(set(_imported_since().values()) - covered)


def _imported_since() -> dict[str, Path]:
    """Modules outside installed packages that were imported with or since the last model, with their files."""
    found = {}
    for name in set(sys.modules) - _LOADED["before"]:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and file.endswith(".py") and not is_installed(path := Path(file).resolve()):
            found[name] = path
    return found
