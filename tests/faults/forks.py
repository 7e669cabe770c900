"""An act in a process of its own, which is this one until then."""

from __future__ import annotations

import os
from collections.abc import Callable

from cifar_lab.core.errors import LabError


def in_fork(action: Callable[[], object]) -> tuple[int, str]:
    """Do it in a fork: (its exit code, or minus the signal that ended it; its error)."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            action()
            code = 0
        except LabError as error:
            os.write(writer, str(error).encode())
            code = error.exit_code
        finally:
            os._exit(code)
    os.close(writer)
    status = os.waitpid(child, 0)[1]
    with os.fdopen(reader) as file:
        return os.waitstatus_to_exitcode(status), file.read()
