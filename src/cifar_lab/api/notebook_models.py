"""Model that is defined in a notebook or a script, written to a file that a run is identified by and resumed from.

The file has the source of the class or function, and of all that it uses: imports, numbers and texts, and other
classes and functions of the notebook.
"""

from __future__ import annotations

import ast
import builtins
import dis
import hashlib
import inspect
import linecache
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from cifar_lab.core.atomic_io import make_folder, write_text
from cifar_lab.core.errors import SettingsError
from cifar_lab.core.files import read_document
from cifar_lab.store.results import model_file

Maker = Callable[..., Any]

HEAD = '"""Model {name}, written from the session in which it was defined."""\n'

SESSION = "__main__"


def write_model(maker: Maker, results: Path) -> str:
    """Write the source of a class or function into the results folder, and return its `model.name`.

    Equal sources have one file, named by their hash.

    Raises:
        SettingsError: it is no class or function, has no source, or uses a value that no file can state.
        EnvironmentFault: the file cannot be written.
    """
    if not isinstance(maker, type | FunctionType):
        raise SettingsError(
            f"model: {type(maker).__name__} is neither a class nor a function; give the class, or a function that "
            "creates the model"
        )
    name = maker.__name__
    text = HEAD.format(name=name) + _Source(name).text_of(maker)
    path = model_file(results, f"{name}_{hashlib.sha256(text.encode()).hexdigest()[:12]}.py")
    if not path.is_file() or read_document(path).decode("utf-8", errors="replace") != text:
        make_folder(path.parent)
        write_text(path, text)
    return f"{path.absolute()}:{name}"


class _Source:
    """Source of a model with all that it uses, in the order in which Python can run it."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._imports: dict[str, None] = {}
        self._parts: list[str] = []
        self._seen: set[str] = set()

    def text_of(self, maker: Maker) -> str:
        self._add(maker.__name__, maker)
        imports = "".join(f"{line}\n" for line in sorted(self._imports))
        return "\n\n".join([imports, *self._parts]).lstrip("\n")

    def _add(self, name: str, found: Maker) -> None:
        """Add a class or function after those that it uses."""
        source = _source(found)
        if source is None:
            raise SettingsError(f"model: the source of {name} is not found; move {self._model} to a file")
        self._seen.add(name)
        known = _globals(found)
        for used in dict.fromkeys(_used_names(compile(source, name, "exec", dont_inherit=True))):
            if used not in self._seen and used in known and known[used] is not getattr(builtins, used, None):
                self._add_name(used, known[used])
        self._parts.append(source)

    def _add_name(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType):
            self._imports[f"import {value.__name__} as {name}"] = None
        elif isinstance(value, type | FunctionType) and value.__module__ == SESSION:
            if value.__name__ != name:
                raise self._refusal(name, f"another name of {value.__name__}")
            self._add(name, value)
        elif (home := getattr(value, "__module__", None)) and _is_there(home, value):
            self._imports[f"from {home} import {value.__qualname__} as {name}"] = None
        elif _is_literal(value):
            self._parts.append(f"{name} = {value!r}\n")
        else:
            raise self._refusal(name, f"a {type(value).__name__}")
        self._seen.add(name)

    def _refusal(self, name: str, what: str) -> SettingsError:
        return SettingsError(
            f"model: {self._model} uses {name}, {what}, which cannot be written to a file; pass it as an option, "
            "create it inside the model, or move the model to a file"
        )


def _globals(found: Maker) -> dict[str, Any]:
    """Names that the code of a class or function sees."""
    function = found if isinstance(found, FunctionType) else next(_methods(found), None)
    return {} if function is None else function.__globals__


def _methods(cls: Any) -> Iterator[FunctionType]:
    """Functions that a class body defines."""
    for value in vars(cls).values():
        found: Any = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        inner = inspect.unwrap(found) if callable(found) else found
        if isinstance(inner, FunctionType) and inner.__qualname__.startswith(f"{cls.__qualname__}."):
            yield inner


def _source(found: Maker) -> str | None:
    """Source of a class or function. `inspect` finds no class of a notebook, so its methods lead to the cell."""
    function = found if isinstance(found, FunctionType) else next(_methods(found), None)
    if function is None:
        return None
    text = "".join(linecache.getlines(function.__code__.co_filename))
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return None
    line = function.__code__.co_firstlineno
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == found.__name__:
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            if first <= line <= (node.end_lineno or line):
                lines = text.splitlines()[first - 1 : node.end_lineno]
                return textwrap.dedent("\n".join(lines)) + "\n"
    return None


def _used_names(code: CodeType) -> Iterator[str]:
    """Global names that a piece of code reads, in its order."""
    for instruction in dis.get_instructions(code):
        name = str(instruction.argval)
        if instruction.opname in ("LOAD_NAME", "LOAD_GLOBAL") and not name.startswith("__"):  # a class reads `__name__`
            yield name
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _used_names(constant)


def _is_there(home: str, value: Any) -> bool:
    """Whether an import of its name from its module gives the value."""
    name = getattr(value, "__qualname__", "")
    module = sys.modules.get(home)
    return home != SESSION and name.isidentifier() and getattr(module, name, None) is value


def _is_literal(value: Any) -> bool:
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
