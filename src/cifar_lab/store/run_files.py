"""Names of the files that cifar-lab writes into the folder of a run. No other file there is ever deleted."""

from __future__ import annotations

import re

from cifar_lab.core.atomic_io import DAMAGED_SUFFIX

RUN_FILES = frozenset({
    "settings.yaml", "record.json", "metrics.jsonl", "predictions.npz", "weights.safetensors", "checkpoint.bin",
    "checkpoint.bin.previous", "failure.json", "notes.json", "lock",
})  # fmt: skip
"""Each may also end in `.damaged`."""

ATTACK_FILE = re.compile(r"attack-[0-9a-f]{12}\.json")
"""Names of the records of attacks."""

TEMPORARY = re.compile(r"\.(?P<name>.+)\.[0-9]+\.tmp")
"""Name of the temporary file of an atomic write."""


def is_run_file(name: str) -> bool:
    """Whether cifar-lab writes a file of this name into the folder of a run, temporary files included."""
    found = TEMPORARY.fullmatch(name)
    name = found["name"] if found else name
    name = name.removesuffix(DAMAGED_SUFFIX)
    return name in RUN_FILES or ATTACK_FILE.fullmatch(name) is not None
