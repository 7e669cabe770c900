"""Lines that a command prints on standard error while it works, told from errors and notes."""

from __future__ import annotations

import re

PROGRESS = re.compile(
    r"""[\d,]+\ runs?:\ [\d,]+\ (already|to)\b      # the plan
    | device:\ \w+,\ \d+\ CPU
    | \[[\d,]+/[\d,]+\]\                           # a run that ended
    | [\d,]+/[\d,]+\ runs?\ ·                      # the state of the command
    | .+\ ·\ seed\ \d+:\ (epoch\ \d|resumes\ after)
    | (drawing|decoding|reading|unpacking)\ images: | writing\ the\ cache
    | attacked\ \d+\ % | [\d,]+\ attacks?\ (in|to\ make)\b
    | (estimate|time|memory|disk):\ | rung\ \d+\ of | after\ epoch\ \d+: | merged:
    | (tpe|random|grid):\ \d+\ points?\ after""",
    re.VERBOSE,
)
"""Lines of progress."""
