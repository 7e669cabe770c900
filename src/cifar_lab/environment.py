"""What the record says of the machine and the libraries a run was executed with."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version

import numpy as np
import torch

import cifar_lab
from cifar_lab.machine import git_state
from cifar_lab.records import Environment
from cifar_lab.runtime import Execution, device_name


def environment(execution: Execution) -> Environment:
    """What the record says of the machine and the libraries."""
    commit, dirty = git_state()
    return Environment(
        cifar_lab=cifar_lab.__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        torchvision=version("torchvision"),
        numpy=np.__version__,
        platform=f"{sys.platform} {platform.machine()}",
        device=execution.device.type,
        device_name=device_name(execution.device),
        threads=execution.threads,
        git_commit=commit,
        git_dirty=dirty,
    )
