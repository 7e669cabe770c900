"""Comparison with golden data: what was there is there, in its order; more may come."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from . import bits

LOSS_TOLERANCE = 0.02
"""Nats. Kernels of another processor or torch round otherwise, and some twenty steps let that grow to about 1e-3."""

IMAGES_TOLERANCE = 4
"""Images of a split of 30 to 100 that may be classified otherwise for the same reason."""

NUMBER_TOLERANCE = 1e-9
"""Relative, for numbers computed from the same records: statistics of other versions of scipy."""


def lost(golden: Iterable[str], present: Iterable[str]) -> list[str]:
    """Golden items that are gone, or the first that changed its place among the others."""
    wanted, kept = list(golden), set(golden)
    found = [item for item in present if item in kept]
    missing = [item for item in wanted if item not in set(found)]
    moved = [item for item, other in zip(wanted, found, strict=False) if item != other]
    return missing or moved[:1]


def lost_keys(golden: Sequence[str], present: Sequence[str]) -> dict[str, list[str]]:
    """Title → keys that are gone or moved, of lines `title: key key …`."""
    now = {title: keys.split() for title, _, keys in (line.partition(": ") for line in present)}
    before = {title: keys.split() for title, _, keys in (line.partition(": ") for line in golden)}
    gone = {title: lost(keys, now.get(title, [])) for title, keys in before.items()}
    return {title: keys for title, keys in gone.items() if keys}


def differences(golden: Any, present: Any, where: str = "") -> list[str]:
    """Where a document differs from the golden one; keys may be added."""
    if isinstance(golden, dict) and isinstance(present, dict):
        found = [f"{where}.{key}: gone or moved" for key in lost(golden, present)]
        shared = golden.keys() & present.keys()
        return found + [line for key in shared for line in differences(golden[key], present[key], f"{where}.{key}")]
    if isinstance(golden, list) and isinstance(present, list) and len(golden) == len(present):
        pairs = enumerate(zip(golden, present, strict=True))
        return [line for place, (one, other) in pairs for line in differences(one, other, f"{where}[{place}]")]
    if isinstance(golden, float) and isinstance(present, float):
        same = math.isclose(golden, present, rel_tol=NUMBER_TOLERANCE, abs_tol=NUMBER_TOLERANCE)
    else:
        same = golden == present
    return [] if same else [f"{where}: {golden!r} was {present!r} now"]


def other_bits(golden: dict[str, Any], present: bits.Numbers) -> list[str]:
    """Where trained numbers differ from the golden ones: in any bit on the same kind of machine, else in more than the
    tolerances."""
    before = golden["runs"]
    if before.keys() != present.keys():
        return [f"runs: {sorted(before.keys() ^ present.keys())}"]
    if golden["machine"] == bits.machine():
        return differences(before, present)
    return [f"{name}: {line}" for name in before for line in _far(before[name], present[name])]


def _far(golden: bits.Numbers, present: bits.Numbers) -> list[str]:
    """Numbers that no other rounding explains."""
    same = [key for key in ("run_id", "lr") if differences(golden[key], present[key])]
    losses = [(golden[key], present[key], key) for key in ("val_loss", "test_loss") if key in golden]
    losses += [(*pair, "train_loss") for pair in zip(golden["train_loss"], present["train_loss"], strict=True)]
    far = [key for one, other, key in losses if abs(one - other) > LOSS_TOLERANCE]
    scores = [key for key in ("val_accuracy", "test_accuracy") if key in golden]
    far += [key for key in scores if abs(golden[key] - present[key]) > IMAGES_TOLERANCE / 30]
    return [f"{key}: {golden[key]} was {present[key]} now" for key in dict.fromkeys([*same, *far])]
