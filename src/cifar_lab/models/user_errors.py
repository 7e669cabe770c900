"""Errors in the code of a custom model, in words."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from cifar_lab.config.model_source import ModelSource


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory left, on the CPU or on a GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)


def describe_error(error: BaseException, source: ModelSource) -> str:
    """Type and first line of an error, and the innermost line of the user's code in its traceback."""
    line = (str(error).splitlines() or [""])[0]
    files = set(map(str, source.files())) if source.installed is None else set()
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    location = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{line and ': '}{line}{location}"
