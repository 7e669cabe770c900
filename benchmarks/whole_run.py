"""A whole `cifar-lab run` of the baseline against the tutorial's loop: process start to record written, in turn.

    python benchmarks/whole_run.py --zip ../shared/data/cifar10-jpeg.zip --pairs 3

Both read decoded images from a warm cache: the loop its .npy files, cifar-lab its own cache.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from process_tree import Measured, measure

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zip", type=Path, required=True, help="JPEG images as train/<class>/ and test/<class>/")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "reference-loop-cache")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2, help="DataLoader workers of the tutorial's loop")
    options = parser.parse_args()

    _reference(options, epochs=1)
    _candidate(options, epochs=1)
    ratios = []
    for pair in range(1, options.pairs + 1):
        reference, candidate = _reference(options, options.epochs), _candidate(options, options.epochs)
        ratios.append(candidate.seconds / reference.seconds)
        print(
            f"pair {pair}: tutorial's loop {reference.seconds:.1f} s, {reference.peak_bytes / 2**20:.0f} MiB; "
            f"cifar-lab {candidate.seconds:.1f} s, {candidate.peak_bytes / 2**20:.0f} MiB; ratio {ratios[-1]:.3f}",
            flush=True,
        )
    print(json.dumps({"epochs": options.epochs, "ratios": ratios, "median_ratio": statistics.median(ratios)}))


def _reference(options: argparse.Namespace, epochs: int) -> Measured:
    return measure(
        [sys.executable, str(HERE / "reference_loop.py"), "--zip", str(options.zip), "--cache", str(options.cache),
         "--epochs", str(epochs), "--workers", str(options.workers)]
    )  # fmt: skip


def _candidate(options: argparse.Namespace, epochs: int) -> Measured:
    with tempfile.TemporaryDirectory() as results:
        return measure(
            [sys.executable, "-m", "cifar_lab", "run", str(HERE.parent / "configs" / "baseline.yaml"), "--seeds", "0",
             "--set", "data.dataset=imagefolder", "--set", f"data.root={options.zip}", "--set", f"epochs={epochs}",
             "--results", results]
        )  # fmt: skip


if __name__ == "__main__":
    main()
