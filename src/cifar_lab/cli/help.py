"""Help of commands: without Python types, and without parsers that it does not use."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup

UNUSED = {"rich.markdown": "Markdown", "rich.traceback": "Traceback"}
"""Modules, and what typer's formatter imports of them. The help has neither Markdown nor tracebacks."""


class Command(TyperCommand):
    """A command whose options are shown by the names of their values."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        _prepare(self, ctx)
        super().format_help(ctx, formatter)


class Group(TyperGroup):
    """The group of all commands."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        _prepare(self, ctx)
        super().format_help(ctx, formatter)


def _prepare(command: Any, ctx: Any) -> None:
    """Leave out Python types: each option names its value."""
    import_formatter()
    for param in command.get_params(ctx):
        if param.metavar is None or isinstance(param, TyperArgument):
            param.display_type_rich = lambda ctx: None


def import_formatter() -> None:
    """Import typer's formatter without the parsers of Markdown and of source code, a fifth of the time of `--help`.

    Empty modules stand in for them during the import.
    """
    missing = {name: attribute for name, attribute in UNUSED.items() if name not in sys.modules}
    for name, attribute in missing.items():
        sys.modules[name] = module = ModuleType(name)
        setattr(module, attribute, type(attribute, (), {}))
    try:
        import typer.rich_utils  # noqa: F401
    finally:
        for name in missing:
            del sys.modules[name]
