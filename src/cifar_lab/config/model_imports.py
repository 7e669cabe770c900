"""Python files that a custom model imports, found by reading them. Nothing is run."""

from __future__ import annotations

import ast
import site
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from cifar_lab.core.files import read_document

PACKAGE_FOLDERS = frozenset({"site-packages", "dist-packages"})
"""Names of the folders into which packages are installed."""


@dataclass(frozen=True)
class Import:
    """One import statement, or a call of `import_module` or `__import__` with a literal name."""

    level: int
    """Number of leading dots. 0 for an absolute import."""
    module: str
    """Dotted name after the dots. Empty for `from . import name`."""
    names: tuple[str, ...] = ()
    """Names after `import`, which may be modules."""


def imports_of(path: Path) -> tuple[Import, ...]:
    """Imports anywhere in a file, also in functions. None where it cannot be read or parsed."""
    try:
        found = path.stat()
        return _imports_of(path, found.st_size, found.st_mtime_ns)
    except OSError:
        return ()


@lru_cache(maxsize=1024)
def _imports_of(path: Path, size: int, mtime_ns: int) -> tuple[Import, ...]:
    """Cached by size and time, because every arm of a sweep may name the same file."""
    try:
        tree = ast.parse(read_document(path))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    return tuple(found for node in ast.walk(tree) for found in _imports_in(node))


def _imports_in(node: ast.AST) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(0, alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield Import(node.level, node.module or "", tuple(alias.name for alias in node.names))
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        name, called = node.args[0].value, getattr(node.func, "attr", getattr(node.func, "id", ""))
        if isinstance(name, str) and called in ("import_module", "__import__"):
            module = name.lstrip(".")
            yield Import(len(name) - len(module), module)


def imported_files(path: Path, roots: Sequence[Path], outer: Sequence[Path]) -> list[Path]:
    """Files that `path` imports, directly or indirectly, sorted and without itself.

    A folder that an absolute import names counts with all its files.

    Args:
        path: a Python file.
        roots: folders in which absolute imports are found before installed packages.
        outer: folders in which they are found after installed packages.
    """
    found, seen = [path], {path}
    for source in found:  # grows while it is walked
        for each in imports_of(source):
            for other in _resolve(each, source, roots, outer):
                if other not in seen:
                    seen.add(other)
                    found.append(other)
    return sorted(found[1:])


def _resolve(each: Import, source: Path, roots: Sequence[Path], outer: Sequence[Path]) -> Iterator[Path]:
    if each.level:
        if each.level <= len(source.parents):
            yield from _relative(each, source.parents[each.level - 1])
        return
    top = each.module.partition(".")[0]
    for root in roots:
        if below := list(_below(root, top)):
            yield from below
            return
    if not top or top in sys.stdlib_module_names:
        return
    if (spec := _spec_of(top)) is not None:
        yield from _of_spec(spec)
        return
    for root in outer:
        if below := list(_below(root, top)):
            yield from below
            return


def _below(root: Path, top: str) -> Iterator[Path]:
    """The module `top` in `root`, or all files of the package `top`."""
    if (root / f"{top}.py").is_file():
        yield root / f"{top}.py"
    elif top and (root / top).is_dir():
        yield from sorted((root / top).rglob("*.py"))


def _relative(each: Import, folder: Path) -> Iterator[Path]:
    """Files of a relative import, with the `__init__.py` of each package on its way."""
    *between, last = each.module.split(".")
    yield from _files(folder / "__init__.py")
    for part in between:
        folder /= part
        yield from _files(folder / "__init__.py")
    if last:
        yield from _below(folder, last)
        return
    for name in each.names:
        if name == "*":
            yield from sorted(folder.glob("*.py"))
        else:
            yield from _below(folder, name)


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path


def _of_spec(spec: ModuleSpec) -> Iterator[Path]:
    """Files of a module on Python's path. None for an installed one, whose version stands for it."""
    if spec.origin is None or not spec.origin.endswith(".py") or is_installed(Path(spec.origin).resolve()):
        return
    if spec.submodule_search_locations is None:
        yield Path(spec.origin)
    for folder in spec.submodule_search_locations or ():
        yield from sorted(Path(folder).rglob("*.py"))


def is_importable(top: str) -> bool:
    """Whether Python finds the top-level module without the user's folders. A folder alone is no module."""
    return top in sys.stdlib_module_names or _spec_of(top) is not None


@lru_cache(maxsize=1024)
def _spec_of(top: str) -> ModuleSpec | None:
    """Module on Python's path or in an editable installation.

    The working folder does not count, because a worker does not have it on its path.
    """
    here = str(Path.cwd())
    spec = PathFinder.find_spec(top, [entry for entry in sys.path if entry not in ("", here)])
    if spec is None or spec.loader is None:
        editable = (finder for finder in sys.meta_path if "__editable__" in getattr(finder, "__module__", ""))
        found = (finder.find_spec(top, None) for finder in editable)
        spec = next((each for each in found if each is not None and each.loader is not None), None)
    return spec


def is_installed(path: Path) -> bool:
    """Whether a file belongs to Python, an installed package or cifar-lab itself."""
    if not PACKAGE_FOLDERS.isdisjoint(path.parts):  # also of an environment below this one
        return True
    return any(folder in path.parents for folder in _installed_folders())


@cache
def _installed_folders() -> frozenset[Path]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = [*(sysconfig.get_path(name) for name in names), *site.getsitepackages(), site.getusersitepackages()]
    return frozenset([Path(__file__).resolve().parents[1], *(Path(folder).resolve() for folder in folders)])
