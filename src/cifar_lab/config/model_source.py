"""Source files of a custom model, found without running them."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from cifar_lab.core.errors import SettingsError
from cifar_lab.core.files import read_document, require_file
from cifar_lab.core.host import located


def source_file(model_name: str) -> Path:
    """The Python file of `package.module:Class` or `file.py:Class`, found without running it.

    Raises:
        SettingsError: the file or module does not exist.
    """
    where = model_name.rpartition(":")[0]
    if where.endswith(".py"):
        path = located(where)
        try:
            require_file(path)
        except (FileNotFoundError, NotADirectoryError):
            raise SettingsError(f"model.name: no file {where}; give the path relative to the settings file") from None
        except OSError as error:
            raise SettingsError(f"model.name: {where} cannot be read ({error.strerror}); name a Python file") from error
        return path
    top, *rest = where.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is not None and not rest and spec.origin:
        return Path(spec.origin)
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        base = Path(folder).joinpath(*rest)
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return path
    raise SettingsError(f"model.name: no module {where!r}; install its package or give path/to/file.py:Class")


def source_files(model_name: str) -> list[Path]:
    """The model's file and, for `file.py:Class`, the files in its folder that it imports, directly or indirectly.

    For `package.module:Class` only the module itself counts: a package changes with its version.

    Raises:
        SettingsError: the file or module does not exist.
    """
    path = source_file(model_name)
    return [path, *files_beside(path)] if model_name.rpartition(":")[0].endswith(".py") else [path]


def files_beside(path: Path) -> list[Path]:
    """Files in the folder of `path` that it imports, directly or indirectly, sorted."""
    found = [path]
    for source in found:  # grows while it is walked
        found += [other for other in _imported_beside(source, path.parent) if other not in found]
    return sorted(found[1:])


def _imported_beside(path: Path, folder: Path) -> Iterator[Path]:
    """Files of `folder` that the source in `path` imports. None where it cannot be parsed."""
    try:
        tree = ast.parse(read_document(path))
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.append(node.module)
        for name in names:
            top = name.partition(".")[0]
            if (folder / f"{top}.py").is_file():
                yield folder / f"{top}.py"
            elif (folder / top).is_dir():
                yield from sorted((folder / top).rglob("*.py"))
