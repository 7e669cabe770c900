"""All that has been measured into a folder: its JSON files, and their comparisons as one Markdown table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.outcome import TABLE_HEAD, comparison_from

Documents = dict[str, dict[str, Any]]
"""JSON files of a folder, by name without their ending."""


def read(folder: Path) -> Documents:
    """All JSON files of a folder, in the order of their names, but for those of `--quick`."""
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    return {name: document for name, document in found.items() if not document.get("quick")}


def markdown(folder: Path) -> str:
    """One line per comparison, files by name."""
    documents = read(folder).values()
    comparisons = (each for document in documents for each in document.get("comparisons", ()))
    return "\n".join([TABLE_HEAD, *(comparison_from(each).line() for each in comparisons)])
