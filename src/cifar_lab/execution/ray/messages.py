"""What the engine itself says to a person, on standard error."""

from __future__ import annotations

import contextlib
import sys


def say(line: str) -> None:
    """Print a line; nobody may be there to read it."""
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)
