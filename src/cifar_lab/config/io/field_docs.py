"""Documentation of settings: docstrings of their classes, and the text below each field.

The source is parsed by `ast` on request only.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache

from cifar_lab.config import Section


def docstring(cls: type[Section]) -> str:
    """Docstring of a class in one line."""
    return " ".join((cls.__doc__ or "").split())


def field_docs(cls: type[Section]) -> dict[str, str]:
    """Documentation of each field of a class, inherited fields included."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, Section):
            docs |= _module_docs(base.__module__).get(base.__name__, {})
    return docs


@cache
def _module_docs(module: str) -> dict[str, dict[str, str]]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: dict(_class_docs(node)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _class_docs(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for statement, below in zip(node.body, node.body[1:], strict=False):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            yield statement.target.id, " ".join(below.value.value.split())
