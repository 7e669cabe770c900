"""Measure, from the repository's root.

    python -m benchmarks images_per_second                       # one benchmark; pairs that are there are kept
    python -m benchmarks questions grid --zip cifar10-jpeg.zip   # those of whole commands train on real images
    python -m benchmarks cohort --device cuda --members 40       # benchmarks/gpu.sh measures everything there
    python -m benchmarks table                                   # what has been measured, as Markdown

Each benchmark writes NAME-DEVICE.json into the output folder and prints a line of Markdown for each comparison. A pair
during which other programs used the cores is made again.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from benchmarks.command_images import NoImagesError
from benchmarks.harness import PAIRS, QUIET_CORES, Book, Harness
from benchmarks.options import Options
from benchmarks.outcome import TABLE_HEAD, Comparison
from benchmarks.processes import MeasurementError
from benchmarks.rows import CPU_ONLY, GPU_BY_DEFAULT, ROWS
from benchmarks.table import markdown
from cifar_lab.core.host import available_cores, git_state, processor_name, utc_now


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+", choices=[*ROWS, "all", "table"], metavar="NAME", help=", ".join(ROWS))
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: cpu")
    parser.add_argument("--zip", type=Path, help="JPEG images as train/<class>/ and test/<class>/")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--seconds", type=float, default=4.0, help="of steps that count, on each side of a pair")
    parser.add_argument("--share", type=float, help="of the images, for whole commands")
    parser.add_argument(
        "--quiet-cores", type=float, default=QUIET_CORES, help="that others may use while a pair is measured"
    )
    parser.add_argument("--members", type=int, default=40, help="of a cohort")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks"), help="folder of the JSON files")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "cifar-lab-benchmarks")
    parser.add_argument("--quick", action="store_true", help="seconds of work on made-up images: only to see it run")
    args = parser.parse_args()
    if args.names == ["table"]:
        print(markdown(args.out))
        return 0
    device = args.device or "cpu"
    names = list(ROWS) if "all" in args.names else [name for name in args.names if name != "table"]
    skipped = CPU_ONLY if device != "cpu" else GPU_BY_DEFAULT if args.device is None else ()
    lines: list[str] = []
    for name in names:
        if name in skipped:
            print(f"{name}: not measured on {device}; say --device to measure it elsewhere")
            continue
        book = Book(args.out / f"{name}-{device}.json")
        harness = Harness(args.pairs, book, quiet_cores=float("inf") if args.quick else args.quiet_cores)
        options = Options(
            harness, args.scratch, device, args.zip, args.quick, args.seconds, args.members, args.share
        )  # fmt: skip
        try:
            book.add(benchmark=name, quick=args.quick, machine=machine(device))
            found = ROWS[name](options)
        except (MeasurementError, NoImagesError, OSError, zipfile.BadZipFile) as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        lines += map(Comparison.line, found)
    if lines:
        print("\n" + "\n".join([TABLE_HEAD, *lines]))
    return 0


def machine(device: str) -> dict[str, Any]:
    """What was measured on."""
    from importlib.metadata import version

    commit, dirty = git_state()
    return {
        "processor": processor_name(), "cores": available_cores(), "device": device, "platform": platform.platform(),
        "python": platform.python_version(), "torch": version("torch"), "git_commit": commit, "git_dirty": dirty,
        "measured": utc_now(),
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
