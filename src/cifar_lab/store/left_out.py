"""Damage in a results folder that a reader leaves out: named once per command, which then ends with 3.

Every reader of results calls `leave_out` for what it does not use. The messages are log records, so a script sees them
on standard error too. The command line prints them (`cli.notices`) and remembers that there were any.
"""

from __future__ import annotations

import logging

from cifar_lab.core.errors import DataError

LEFT_OUT = "cifar_lab.results.left_out"
"""Logger of damage. A command that hears it ends with 3."""

SKIPPED = "cifar_lab.results.skipped"
"""Logger of what is skipped without harm, such as a copied run, or mended by the same command."""


def leave_out(fault: DataError | str) -> None:
    """Name damage that is not used. The message says how to mend it."""
    logging.getLogger(LEFT_OUT).warning("%s", fault)


def skip(what: DataError | str) -> None:
    """Name what is skipped, or mended by the same command, without harm to the result."""
    logging.getLogger(SKIPPED).warning("%s", what)
