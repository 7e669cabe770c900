"""What a worker process does so that it never outlives its parent, and dies before it when memory runs out."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
"""Of <linux/prctl.h>: the signal that this process gets when its parent dies."""

OOM_SCORE = 500
"""Added to /proc/self/oom_score_adj, of at most 1000 (proc(5)): the kernel ends a worker before its parent."""


def tie_to_parent(parent: int) -> None:
    """Die with the process `parent`, even in the middle of a call that never looks at standard input. Linux only.

    The signal comes when the thread ends that started this process, so that thread must live on.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel knew
        os._exit(1)


def offer_to_the_oom_killer(path: Path = Path("/proc/self/oom_score_adj")) -> None:
    """Let the kernel take this process before its parent; where it does not let us say so nothing changes."""
    try:
        path.write_text(str(min(1000, int(path.read_text()) + OOM_SCORE)))
    except (OSError, ValueError):
        return
