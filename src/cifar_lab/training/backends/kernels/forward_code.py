"""Check of the Python code of a forward pass: whether every pass does the same with its images."""

from __future__ import annotations

import builtins
import dis
import sys
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

from torch import nn

TRUSTED = frozenset({"torch", "cifar_lab"})
"""Packages whose code is not read."""

PURE = frozenset({"len", "range", "super", "int", "float", "tuple", "list", "enumerate", "zip", "reversed"})
"""Functions of Python that a forward pass may call."""

BRANCHES = ("POP_JUMP", "JUMP_IF")
"""Beginnings of the names of instructions that choose between two ways."""

CHANGES = {
    "STORE_ATTR": "changes an attribute",
    "DELETE_ATTR": "changes an attribute",
    "STORE_SUBSCR": "changes an element",
    "DELETE_SUBSCR": "changes an element",
    "STORE_SLICE": "changes elements",
    "STORE_GLOBAL": "changes a global variable",
    "STORE_DEREF": "changes a variable of another function",
    "IMPORT_NAME": "imports a module",
    "YIELD_VALUE": "is a generator",
}
"""Instructions that could make a pass depend on those before it."""


class CodeReader:
    """Context in which the code of a network is read when it is called: that of its modules and what they call."""

    def __init__(self, network: nn.Module) -> None:
        self._packages = {_package(type(module).__module__) for module in network.modules()} - TRUSTED
        self._read: set[CodeType] = set()
        self.fault: str | None = None
        """First thing because of which passes could differ. None without any."""
        self._seen: set[CodeType] = set()
        self._before: Any = None

    def __enter__(self) -> CodeReader:
        self._before = sys.getprofile()
        sys.setprofile(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self._before)

    def _called(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event != "call" or self.fault is not None or code in self._seen:
            return
        self._seen.add(code)
        package, caller = _package(str(frame.f_globals.get("__name__", ""))), frame.f_back
        if package in self._packages or (package not in TRUSTED and caller is not None and caller.f_code in self._read):
            self._read.add(code)
            self.fault = _fault(code, frame.f_globals)


def _package(module: str) -> str:
    return module.partition(".")[0]


def _fault(code: CodeType, names: dict[str, Any]) -> str | None:
    """Fault of a function, with its line. None if every call does the same."""
    line = code.co_firstlineno
    for instruction in dis.get_instructions(code):
        line = _line(instruction) or line
        if instruction.opname.startswith(BRANCHES):
            return f"branches (line {line})"
        if (change := CHANGES.get(instruction.opname)) is not None:
            return f"{change} (line {line})"
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME") and not _is_pure(instruction.argval, names):
            return f"uses {instruction.argval} (line {line})"
    return None


def _line(instruction: dis.Instruction) -> int | None:
    """Line of an instruction. Python 3.13 has it under another name."""
    found: int | None = getattr(instruction, "line_number", instruction.starts_line)
    return found


def _is_pure(name: str, names: dict[str, Any]) -> bool:
    """Whether a global name is something of torch, a function whose code is read, a number or a harmless builtin."""
    if name not in names:
        return name in PURE and hasattr(builtins, name)
    value = names[name]
    if isinstance(value, ModuleType):
        return _package(value.__name__) in TRUSTED
    if isinstance(value, FunctionType | int | float | str | tuple):
        return True
    return _package(str(getattr(value, "__module__", ""))) in TRUSTED or isinstance(value, type)
