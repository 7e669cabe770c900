"""The sweep of configs/q8_grid.yaml as one command, beside runs one after the other.

    python -m benchmarks.whole_grid --device cuda --zip cifar10-jpeg.zip
    python -m benchmarks.whole_grid --quick           # 16 points, one epoch, few images: only to see it run

The command searches 320 points for ten epochs, confirms the winners and tests them. Beside it, one point of each batch
size is trained for one epoch, each run alone and captured. The seconds of their epochs, scaled to all points and
epochs, are those of a sequential search without start, capture and confirmation.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.command_images import as_options
from benchmarks.processes import ROOT, told
from cifar_lab.core.host import utc_now

POINTS, EPOCHS, SIZES = 320, 10, 8


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--zip", type=Path, help="JPEG images; random ones without")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks"))
    args = parser.parse_args()
    given = ["data.dataset=synthetic", "data.train_size=50000", "data.test_size=10000"]
    if args.zip is not None:
        given = ["data.dataset=imagefolder", f"data.root={args.zip.resolve()}"]
    if args.quick:
        given = ["data.dataset=synthetic", "data.train_size=2400", "data.test_size=100", "data.val_size=200"]
    given.append(f"runtime.device={args.device}")
    with tempfile.TemporaryDirectory() as folder:
        seconds = sweep(given, Path(folder), quick=args.quick)
        told(
            "benchmarks.own.runs", "grid", "--points", SIZES, "--workers", 1, "--results", Path(folder) / "alone",
            *as_options([*given, "epochs=1", "runtime.cohort=1"]),
        )  # fmt: skip
        lines = [path.read_text(encoding="utf-8") for path in Path(folder).glob("alone/runs/*/metrics.jsonl")]
    scaled = POINTS / SIZES * EPOCHS * sum(json.loads(line)["seconds"] for line in lines)
    print(f"grid as one command: {seconds:.1f} s; one run after the other, scaled: {scaled:.0f} s", flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    found = {"quick": args.quick, "measured": utc_now(), "seconds": seconds, "sequential_seconds_scaled": scaled}
    (args.out / f"whole_grid-{args.device}.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0


def sweep(given: list[str], folder: Path, *, quick: bool) -> float:
    """Seconds of the sweep as one command."""
    file = ROOT / "configs" / "q8_grid.yaml"
    if quick:
        file = folder / "grid.yaml"
        file.write_text(
            f"base: {ROOT / 'configs' / 'baseline.yaml'}\n"
            "search: {method: grid, top: 1, seeds: [0], confirm_seeds: [1]}\n"
            "space:\n  data.batch_size: [64, 128]\n  optimizer.lr: [0.05, 0.01]\n"
        )
        given = [*given, "epochs=1"]
    command = [sys.executable, "-m", "cifar_lab", "sweep", file, *as_options(given), "--results", folder / "grid"]
    began = time.monotonic()
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


if __name__ == "__main__":
    raise SystemExit(main())
