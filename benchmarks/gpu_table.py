"""Fill the table of targets on a GPU in docs/performance.md from what benchmarks/gpu.sh has measured.

python -m benchmarks.gpu_table results/benchmarks
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT
from benchmarks.table import Documents, read

PAGE = ROOT / "docs" / "performance.md"

HEAD = "| one H100 or H200 | target | measured |\n| --- | ---: | --- |"

MISSING = "not measured yet"


@dataclass(frozen=True)
class Row:
    """One target."""

    what: str
    target: str
    measured: Callable[[Documents], list[str | None]]
    """Values, None where one is missing."""


def block(*cells: tuple[int, int | str]) -> Callable[[Documents], list[str | None]]:
    """Images per second of the block kernel with Net, by networks and batch."""

    def measured(documents: Documents) -> list[str | None]:
        rows = {
            (row["members"], row["batch"]): f"{row['block'] / 1e6:.2f} M"
            for row in documents.get("block", {}).get("rows", ())
            if (row["model"], row["optimizer"]) == ("Net", "sgd")
        }
        return [rows.get(cell) for cell in cells]

    return measured


def compared(file: str, *names: str, unit: str = "") -> Callable[[Documents], list[str | None]]:
    """Median of the candidate in comparisons of one file."""

    def measured(documents: Documents) -> list[str | None]:
        found = {each["name"]: each for each in documents.get(file, {}).get("comparisons", ()) if each["pairs"]}
        return [f"{_median(found[name])}{unit}" if name in found else None for name in names]

    return measured


def _median(comparison: dict[str, Any]) -> str:
    """Median of the candidate's readings, with three digits."""
    middle = statistics.median(pair["candidate"]["value"] for pair in comparison["pairs"])
    return f"{middle:.3g}" if middle < 1_000 else f"{float(f'{middle:.3g}'):,.0f}"


def grid(documents: Documents) -> list[str | None]:
    """Seconds of the grid as one command."""
    found = documents.get("whole_grid-cuda")
    return [None if found is None else f"{found['seconds']:.0f} s"]


def times_sequential(documents: Documents) -> list[str | None]:
    """Ratio to runs one after the other."""
    found = documents.get("whole_grid-cuda")
    return [None if found is None else f"{found['sequential_seconds_scaled'] / found['seconds']:.0f} times, scaled"]


RESNET18 = "ResNet18, batch 128, bf16"

ROWS = (
    Row(
        "320 networks, batch 64, 8, 512, images/s with validation",
        "7 M, 4 M, 7 M",
        block((320, 64), (320, 8), (320, 512)),
    ),
    Row("40 networks, batch 64, images/s with validation", "4 M", block((40, 64))),
    Row(
        "320 and 160 networks of eight batch sizes in one cohort, images/s with validation",
        "–",
        block((320, "grid"), (160, "grid")),
    ),
    Row("the grid of 320 points, ten epochs, winners confirmed and tested", "60 s", grid),
    Row("the same against runs one after the other", "20 times", times_sequential),
    Row(
        "command to first step of a run, and of 40 runs with warm and cold caches",
        "5 s, 5 s, 8 s",
        compared(
            "start_up-cuda", *(f"start-up{more}, cuda" for more in ("", ", 40 runs", ", 40 runs, cold")), unit=" s"
        ),
    ),
    Row(
        "ResNet18, batch 128, bf16, images/s, and with `deterministic: false`",
        "120,000, 120,000",
        compared("resnet18-cuda", f"{RESNET18}, cuda", f"{RESNET18}, runtime.deterministic=false, cuda"),
    ),
    Row("four runs of it, on streams", "–", compared("resnet18-cuda", f"{RESNET18}, 4 runs, cuda", unit=" s")),
)


def table(documents: Documents) -> str:
    """The table as Markdown."""
    lines = [HEAD]
    for row in ROWS:
        values = row.measured(documents)
        told = MISSING if not any(values) else ", ".join(value or MISSING for value in values)
        lines.append(f"| {row.what} | {row.target} | {told} |")
    return "\n".join(lines) + "\n"


def filled(page: str, documents: Documents) -> str:
    """The page, with its table replaced by the one from these files."""
    before, _, rest = page.partition(HEAD)
    lines = rest.lstrip("\n").splitlines(keepends=True)
    after = next((number for number, line in enumerate(lines) if not line.startswith("|")), len(lines))
    return before + table(documents) + "".join(lines[after:])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?", default=Path("results/benchmarks"))
    parser.add_argument("--print", action="store_true", help="print the table and change nothing")
    args = parser.parse_args()
    documents = read(args.out)
    print(table(documents), end="")
    if not args.print:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), documents), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
