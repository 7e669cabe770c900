"""Machine and libraries of a run, for its record."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version

import numpy as np
import torch

from cifar_lab.core._version import __version__
from cifar_lab.core.git_diff import git_diff
from cifar_lab.core.host import git_state
from cifar_lab.store.records import Environment, Reduction
from cifar_lab.training.backends.base import BackendInfo
from cifar_lab.training.device import Execution, device_name


def environment(execution: Execution, backend: BackendInfo) -> Environment:
    """Machine, libraries, source version and backend of a run."""
    commit, dirty = git_state()
    return Environment(
        cifar_lab=__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        torchvision=version("torchvision"),
        numpy=np.__version__,
        platform=f"{sys.platform} {platform.machine()}",
        device=execution.device.type,
        device_name=device_name(execution.device),
        threads=execution.threads,
        cohort=backend.members,
        stacked=backend.stacked,
        captured=backend.captured,
        eager_reason=backend.eager_reason,
        kernels="own" if backend.own_kernels else "torch",
        kernels_reason=backend.kernels_reason,
        reduction=reduction_of(execution, backend),
        git_commit=commit,
        git_dirty=dirty,
        git_diff=git_diff() if dirty else None,
    )


def reduction_of(execution: Execution, backend: BackendInfo) -> Reduction:
    """Order of the sums over a batch."""
    if backend.own_kernels:
        return "batch"
    return "threads" if execution.device.type == "cpu" else "device"


def changes(before: Environment, now: Environment, epochs: int) -> list[str]:
    """Note on the environment of a resumed run's first epochs, if a difference could affect its numbers."""
    names = (
        "cifar_lab", "torch", "numpy", "device", "device_name", "platform", "stacked", "kernels", "git_commit",
        "git_dirty",
    )  # fmt: skip
    differing = [f"{name} {getattr(before, name)}" for name in names if getattr(before, name) != getattr(now, name)]
    if before.reduction is None and now.reduction == "batch" and before.kernels == now.kernels:
        threads = "1 thread" if before.threads == 1 else f"{before.threads} threads"
        differing.append(f"an earlier version's order of sums on {threads}")
    return [f"epochs 1 to {epochs} ran with {', '.join(differing)}"] if differing else []
