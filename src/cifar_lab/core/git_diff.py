"""Uncommitted changes of the working folder, for the record of a run that a dirty checkout executed.

Only files that git tracks are in it, so that a secret in an untracked file stays out. `CIFAR_LAB_GIT_DIFF=0` keeps all
of it out. No torch.
"""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache

from cifar_lab.core.host import GIT_STATE, git_state

GIT_DIFF = "CIFAR_LAB_GIT_DIFF"
"""Environment variable: `0` records no changes."""

MOST_BYTES = 16_384
"""Largest diff in a record. A longer one is cut."""


@cache
def git_diff() -> str | None:
    """Changes of tracked files since the commit of `git_state`. None without any, outside a checkout, and if off."""
    if os.environ.get(GIT_DIFF) == "0":
        return None
    if told := os.environ.get(GIT_STATE):
        _, _, *diff = json.loads(told)
        return diff[0] if diff else None
    commit, dirty = git_state()
    if commit is None or not dirty:
        return None
    command = ["git", "diff", "--no-color", "--no-ext-diff", "--no-textconv", commit]
    try:
        content = subprocess.run(command, capture_output=True, timeout=10, check=True, stdin=subprocess.DEVNULL).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return shortened(content) or None


def shortened(content: bytes) -> str:
    """The diff as text. A longer one than `MOST_BYTES` is cut after a line, and says so."""
    if len(content) <= MOST_BYTES:
        return content.decode("utf-8", "replace")
    kept = content[:MOST_BYTES].rpartition(b"\n")[0].decode("utf-8", "replace")
    return f"{kept}\n(cut: the whole diff has {len(content):,} bytes)\n"


def git_state_text() -> str:
    """Commit, whether it has changes, and the changes, for `GIT_STATE` of a remote worker."""
    return json.dumps([*git_state(), git_diff()])
