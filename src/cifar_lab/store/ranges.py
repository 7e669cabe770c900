"""Types of the numbers in the files of a results folder. Each has a range, and no bool or text counts as a number.

A file may be from elsewhere, or edited. A number outside its range makes the file damaged, so that no command computes
with it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, Field

LARGEST = 2**53
"""Largest integer. JSON readers that use double precision keep it exactly."""

LARGEST_SEED = 2**32 - 1

Share = Annotated[float, Field(strict=True, ge=0, le=1)]
"""Accuracy, 0 to 1."""

Loss = Annotated[float, Field(strict=True, ge=-1e-4, allow_inf_nan=False)]
"""Mean cross-entropy in nats. Rounding of log-softmax can give a value just below 0."""

Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""Number of a function of the user."""

Rate = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
"""Learning rate."""

Seconds = Annotated[float, Field(strict=True, ge=0, le=1e10)]
"""Duration in seconds, up to 317 years."""

Count = Annotated[int, Field(strict=True, ge=0, le=LARGEST)]
"""Number of things."""

Positive = Annotated[int, Field(strict=True, ge=1, le=LARGEST)]
"""Number of things, at least one."""

Seed = Annotated[int, Field(strict=True, ge=0, le=LARGEST_SEED)]

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 as 64 hex digits."""

MOST_LEVELS = 20
"""Levels of nested settings. Those of this lab have five."""


def _plain_values(values: dict[str, Any]) -> dict[str, Any]:
    fault = next(_faults(values, MOST_LEVELS), None)
    if fault is not None:
        raise ValueError(fault)
    return values


Values = Annotated[dict[str, Any], AfterValidator(_plain_values)]
"""Settings as JSON values, whose kinds are those of the version that wrote them. Every number is finite and at most
`LARGEST`, and none that counts something is negative."""

_COUNTS = re.compile(r"(epochs|workers|threads|cohort|warmup_epochs|.*_size|size)")
"""Keys of settings whose numbers count something."""


def _faults(value: Any, levels: int, key: str = "") -> Iterator[str]:
    """Reasons why a value can be no setting."""
    if levels == 0:
        yield f"{key}: more than {MOST_LEVELS} levels"
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _faults(each, levels - 1, name)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _faults(each, levels - 1, key)
    elif isinstance(value, bool) or value is None or isinstance(value, str):
        return
    elif not math.isfinite(value) if isinstance(value, float) else abs(value) > LARGEST:
        yield f"{key}: {str(value)[:20] if isinstance(value, float) else 'an integer'} is out of range"
    elif value < 0 and _COUNTS.fullmatch(key):
        yield f"{key}: {value} is negative"
