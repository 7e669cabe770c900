"""Names of the files in a pack. A file with another name is neither packed nor unpacked.

pack.json            manifest: version, and the SHA-256 and size of every other file
lab/<path>           settings, lab file, claims, sources of models, relative to the common folder of all
results/<path>       results, with the names of a results folder
"""

from __future__ import annotations

import re

from cifar_lab.store.run_files import ATTACK_FILE

MANIFEST = "pack.json"
LAB = "lab/"
RESULTS = "results/"

WEIGHTS = "weights.safetensors"

RUN_FILES = (
    "settings.yaml", "record.json", "metrics.jsonl", "predictions.npz", "failure.json", "notes.json", WEIGHTS,
)  # fmt: skip
"""Files of a run that are packed."""

REPORT_FILES = ("report.html", "report.md", "report.tex", "summary.csv", "answers.json", "looks.json", ".looks.json")
"""Files of a results folder, beside its folders, that are packed."""

_STEM = r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}"

_RESULT = re.compile(
    rf"runs/[0-9a-f]{{16}}/(?:{'|'.join(map(re.escape, RUN_FILES))}|{ATTACK_FILE.pattern})"
    rf"|(?:{'|'.join(map(re.escape, REPORT_FILES))})"
    rf"|sweeps/{_STEM}/(?:plan|history|winners)\.json"
    rf"|stopping/{_STEM}\.json|index/[0-9a-f]{{16}}\.json|removed/[0-9a-f]{{16}}\.json|models/{_STEM}\.py"
)

LONGEST_NAME = 400
"""Characters of a name."""


def is_packed_name(name: str) -> bool:
    """Whether a file of this name belongs to a pack, and lies below the folder in which it is unpacked."""
    if len(name) > LONGEST_NAME or not name.isprintable() or "\\" in name:
        return False
    if name.startswith(RESULTS):
        return _RESULT.fullmatch(name.removeprefix(RESULTS)) is not None
    return name.startswith(LAB) and is_lab_path(name.removeprefix(LAB))


def is_lab_path(path: str) -> bool:
    """Whether a path is relative, leads nowhere else and names no hidden file and no results."""
    parts = path.split("/")
    plain = all(part and not part.startswith((".", "-", "~")) and ":" not in part for part in parts)
    return plain and bool(path)
