"""Id of a run from its identity: the hash alone. `config.run_id` says which settings take part."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

NUMERICS = 1
"""Version of the numerics, raised when the same settings yield other numbers. Every id changes with it."""

RUN_ID = re.compile("[0-9a-f]{16}")
"""Form of an id, which is the name of the run's folder."""

_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
"""`json.dumps` with these options, but without a new encoder per call."""


def run_id(recipe: dict[str, Any], data_fingerprint: str, seed: int, numerics: int = NUMERICS) -> str:
    """Id of a run and name of its folder, 16 hex digits. `numerics` is that of the version that made the run."""
    text = _canonical([numerics, recipe, data_fingerprint, seed])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
