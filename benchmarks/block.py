"""The block kernel on a GPU: seconds of a cold compilation, then images per second of whole epochs.

    python -m benchmarks.block                   # all cells, about a minute
    python -m benchmarks.block --pairs 1 --cells 40:64 320:64

A cell is members:batch, members:batch:optimizer or members:batch:optimizer:model. The batch `grid` stands for those of
q8_grid, equally often. An epoch is made as the product makes it: random numbers, training, the read of the metrics, and
the validation of all networks on 5,000 images. The same cohort as stacked networks in a captured CUDA graph stands
beside it, where its batches are equal and it is small enough to be measured in seconds. The losses of an epoch of both
are compared.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.own.steps import Workload, prepare
from cifar_lab.core.host import utc_now
from cifar_lab.data.resident_split import ResidentSplit
from cifar_lab.training.backends.base import Predictor
from cifar_lab.training.backends.block.backend import BlockBackend
from cifar_lab.training.backends.block.compiler import compiled
from cifar_lab.training.backends.block.jobs import PARTS
from cifar_lab.training.backends.block.shapes import NET, NET1, NET3
from cifar_lab.training.evaluate import predict_stacked, score, score_all

CELLS = (
    "320:64", "40:64", "320:grid", "320:8", "320:512", "160:grid", "132:64", "40:8", "40:512", "132:64:adam", "10:64",
    "2:8", "14:512", "2:64", "4:512", "40:32:muon", "10:32:muon", "320:64:sgd:Net3", "320:64:sgd:Net1",
    "36:64:sgd:Net1", "52:64:sgd:Net3", "36:8:sgd:Net1", "52:8:sgd:Net3", "36:512:sgd:Net1", "52:512:sgd:Net3",
    "320:128:muon:Net1",
)  # fmt: skip
"""The targets first, then the cells that decide the fewest networks for the kernel."""

IMAGES, SCORED = 45_000, 5_000

GRAPH_MEMBERS = 52
"""Networks of the largest cohort that the captured graph trains too. An epoch of 320 takes 13 s there."""

GRID = (8, 16, 32, 64, 128, 256, 512, 1024)
"""Batch sizes of configs/q8_grid.yaml. Only the block kernel trains them in one cohort."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", default=CELLS, metavar="K:BATCH[:OPTIMIZER[:MODEL]]")
    parser.add_argument("--pairs", type=int, default=2, help="epochs of each kind that count")
    parser.add_argument("--seconds", type=float, default=90.0, help="after which no further cell is begun")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks"))
    args = parser.parse_args()
    if not torch.cuda.is_available():
        print("benchmarks.block: torch finds no GPU here")
        return 2
    began, rows = time.monotonic(), []
    name = torch.cuda.get_device_name()
    compiling = compile_seconds()
    print(f"{name}: cold compilation, s: {json.dumps(compiling)}\n\n{HEAD}", flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    document = {"device": name, "torch": torch.__version__, "measured": utc_now(), "compile_seconds": compiling}
    for cell in args.cells:
        if time.monotonic() - began > args.seconds:
            print(f"not measured after {args.seconds:g} s: {cell} and later cells")
            break
        rows.append(measure(cell, args.pairs))
        print(line(rows[-1]), flush=True)
        (args.out / "block.json").write_text(json.dumps({**document, "rows": rows}, indent=1), encoding="utf-8")
    return 0


HEAD = (
    "| networks | model | batch | optimizer | blocks per network | block kernel, images/s | captured graph, images/s |"
    " ratio | largest difference of losses |\n| ---: | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |"
)


def line(row: dict[str, float | str | None]) -> str:
    """A row of Markdown."""
    graph = f"{row['graph']:,.0f} | {row['ratio']:.1f}" if row["graph"] else "– | –"
    return (
        f"| {row['members']} | {row['model']} | {row['batch']} | {row['optimizer']} | {row['teams']} | "
        f"{row['block']:,.0f} | {graph} | "
        f"{'–' if row['difference'] is None else format(row['difference'], '.1e')} |"
    )


def compile_seconds() -> dict[str, float]:
    """Seconds per kernel of a compilation with an empty cache, which this process then keeps for the cells."""
    os.environ["CIFAR_LAB_CACHE"] = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, os.environ["CIFAR_LAB_CACHE"])
    major, minor = torch.cuda.get_device_capability()
    found = {}
    others = (("Net1, parts of 64", NET1, PARTS[-1:]), ("Net3, parts of 64", NET3, PARTS[-1:]))
    for model, shape, parts in (("Net, all sizes", NET, PARTS), *others):
        began = time.monotonic()
        compiled(f"sm_{major}{minor}", shape, 10, parts)
        found[model] = round(time.monotonic() - began, 1)
    return found


def measure(cell: str, pairs: int) -> dict[str, float | str | None]:
    """Images per second of both backends."""
    members, batch, *rest = cell.split(":")
    optimizer, model = (*rest, *("sgd", "Net")[len(rest) :])
    sizes = [GRID[member % len(GRID)] for member in range(int(members))] if batch == "grid" else []
    given = ["runtime.device=cuda", f"optimizer.name={optimizer}", f"model.name={model}"]
    given += [] if sizes else [f"data.batch_size={batch}"]
    speeds, losses, teams = [], [], 1
    alone = bool(sizes) or int(members) > GRAPH_MEMBERS
    for kernels in ("own",) if alone else ("own", "torch"):
        workload = prepare(
            [*given, f"runtime.kernels={kernels}"], 1, IMAGES, int(members), stacked=int(members) > 1, sizes=sizes
        )
        if kernels == "own" and workload.how["kernels"] != "own":
            raise SystemExit(f"benchmarks.block: {workload.how['kernels_reason']}")
        epoch_seconds(workload, 0)  # warm-up
        losses.append(workload.steps.metrics.loss.mean(dim=0))
        times = [epoch_seconds(workload, 1 + pair) for pair in range(pairs)]
        speeds.append(int(members) * IMAGES / statistics.median(times))
        if isinstance(workload.steps, BlockBackend):
            teams = workload.steps.blocks_per_network
    row: dict[str, float | str | None] = {
        "members": int(members), "model": model, "batch": batch if sizes else int(batch), "optimizer": optimizer,
        "block": speeds[0], "teams": teams,
    }  # fmt: skip
    if alone:
        return {**row, "graph": None, "ratio": None, "difference": None}
    difference = float((losses[0] / losses[1] - 1).abs().max())
    return {**row, "graph": speeds[1], "ratio": speeds[0] / speeds[1], "difference": difference}


def epoch_seconds(workload: Workload, epoch: int) -> float:
    """Seconds of an epoch with its validation."""
    steps, split = workload.steps, workload.batches.split
    scored = ResidentSplit(split.stored[:SCORED].cpu().numpy(), split.labels[:SCORED].cpu().numpy(), split.normalizer)
    torch.cuda.synchronize()
    began = time.monotonic()
    *_, done = steps.epoch(epoch)
    steps.metrics.numbers(done)
    logits = steps.predict(scored) if isinstance(steps, Predictor) else None
    if logits is not None:
        score_all(logits, scored.labels, 10)
    else:
        stacked = steps.cohort.stacked
        assert stacked is not None
        labels = scored.labels.cpu()
        found = predict_stacked(stacked, len(steps.cohort.networks), scored, workload.execution)
        for each in found:
            score(each, labels, 10)
    torch.cuda.synchronize()
    return time.monotonic() - began


if __name__ == "__main__":
    raise SystemExit(main())
