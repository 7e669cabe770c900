"""Standard output: lines, and a console of rich. Their text never holds a control character of a file."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from cifar_lab.core.host import ignore_output
from cifar_lab.core.text import printable


class SafeConsole(Console):
    """Console that takes no markup, and drops control characters from all text that it renders.

    Only its own styles reach a terminal. A closed pipe does not end the process, so the exit code does not depend on
    the reader of the output.
    """

    def __init__(self, file: IO[str] | None = None, width: int | None = None) -> None:
        super().__init__(file=file, width=width, highlight=False, markup=False, emoji=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Segments of an object. Those with a control code are rich's own."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable() or segment.text == "\n":
                yield segment
            else:
                yield Segment(printable(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Keep running."""
        ignore_output()


def console(**options: Any) -> SafeConsole:
    """Console on standard output. A table in a pipe or file is not wrapped at the width of a terminal."""
    terminal = SafeConsole(**options)
    return terminal if terminal.is_terminal else SafeConsole(width=160, **options)


def say_wrapped(line: str) -> None:
    """Print a line on standard output. On a terminal it is broken between words, and keeps its indent.

    Commands and paths that are to be copied are printed by `say`, which breaks nothing.
    """
    out = console()
    if not out.is_terminal:
        say(line)
        return
    indent = line[: len(line) - len(line.lstrip(" "))]
    say(
        textwrap.fill(
            printable(line.strip(" ")), out.width, initial_indent=indent,
            subsequent_indent=f"{indent}  " if indent else "", break_long_words=False, break_on_hyphens=False,
        )
    )  # fmt: skip


def say(line: str, stream: IO[str] | None = None) -> None:
    """Print lines without control characters. A closed pipe (`| head`) does not end the work."""
    try:
        print(printable(line), file=stream or sys.stdout, flush=True)
    except BrokenPipeError:
        ignore_output()
    except ValueError:  # the stream is closed
        return
