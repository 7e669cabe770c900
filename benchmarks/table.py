"""All that has been measured into a folder, as one Markdown table."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.outcome import TABLE_HEAD, comparison_from


def markdown(folder: Path) -> str:
    """A line a comparison, files by name; quick looks are left out."""
    lines = [TABLE_HEAD]
    for path in sorted(folder.glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        if not document.get("quick"):
            lines += [comparison_from(each).line() for each in document.get("comparisons", ())]
    return "\n".join(lines)
