"""A made-up lab on the disk: records of every kind, one sweep, and people who write whatever they like."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from math import exp
from pathlib import Path
from typing import Any

from cifar_lab.config import Settings
from cifar_lab.config.io.load import load_settings
from cifar_lab.core.atomic_io import make_folder
from cifar_lab.store.documents import write_document
from cifar_lab.store.records import DataIdentity, EpochMetrics, Record, SplitScore
from cifar_lab.store.results import RunFolder, SweepFolder
from cifar_lab.studies.documents import winners_document
from cifar_lab.studies.space.winners import SearchRuns, pick_winners
from cifar_lab.studies.sweep import load_sweep

MakeRecord = Callable[..., Record]

CONFIGS = Path(__file__).parents[2] / "configs"
HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "{{7*7}} ${7*7} <b>&lt; %{x}",
    "عربي \u202e gnirts \u2066",
)
"""Labels of the arms of q1."""
CLASSES = ("<script>alert(2)</script>", "W" * 10_000, "=cmd()", *"defghij")

SHEET = """\
title: "A lab of <i>hostile</i> people & friends"
control: baseline.yaml
questions:
  q1:
    title: "What do {{7*7}} and </script> do?"
    arms: [arm0.yaml, arm1.yaml, arm2.yaml, arm3.yaml]
    chart: q1.png
    note: "<img src=x onerror=alert(3)>"
  q2:
    title: Which point of a search is best?
    sweep: grid.yaml
    chart: q2.png
  q3:
    title: What has nobody run yet?
    arms: [missing.yaml]
    chart: q3.png
"""
GRID = """\
base: baseline.yaml
search: {method: grid, top: 2, confirm_seeds: [100, 101, 102], val_size: 5000}
space:
  data.flip: [false, true]
  optimizer.lr: [0.01, 0.001, 0.1]
"""


def make_lab(folder: Path, make_record: MakeRecord) -> Path:
    """A sheet with its settings and records in `folder`; gives the sheet. Results lie in `folder/results`."""
    results = folder / "results"
    shutil.copy(CONFIGS / "baseline.yaml", folder / "baseline.yaml")
    for k, label in enumerate(HOSTILE):
        _write(folder / f"arm{k}.yaml", f"extends: baseline.yaml\nlabel: {json.dumps(label)}\nepochs: {11 + k}\n")
    _write(folder / "missing.yaml", "extends: baseline.yaml\nlabel: nobody's\nepochs: 99\n")
    _write(folder / "grid.yaml", GRID)
    _write(folder / "lab.yaml", SHEET)
    for number, name in enumerate(["baseline", *(f"arm{k}" for k in range(4))]):
        settings = load_settings(folder / f"{name}.yaml")
        for seed in range(4):
            accuracy = None if (number, seed) == (2, 3) else 0.5 + 0.04 * number + 0.003 * seed * (number + 1)
            save(results, made_record(make_record, settings, seed, accuracy), accuracy)
    _search(folder, results, make_record)
    return folder / "lab.yaml"


def made_record(
    make_record: MakeRecord, settings: Settings, seed: int, accuracy: float | None, *, search: bool = False
) -> Record:
    """A record with ten classes, whose confusion follows from its accuracy."""
    whole = score(0.5 if accuracy is None else accuracy)
    changes: dict[str, Any] = {"data": _images()}
    if accuracy is None:
        changes["reason"] = "loss is nan at step 7 " + "x" * 10_000
    elif search:
        changes |= {"test": None, "val": whole, "test_reason": "search"}
    else:
        changes |= {"test": whole}
    made = make_record(accuracy, seed, settings).model_copy(update=changes)
    environment = made.environment.model_copy(update={"device_name": "<u>chip</u> " + "y" * 10_000})
    return made.model_copy(update={"environment": environment})


def score(accuracy: float) -> SplitScore:
    """Ten classes of 100 images, the first better than the last."""
    right = [round(100 * accuracy) + 4 - c for c in range(10)]
    confusion = tuple(
        tuple(
            right[t] if t == p else (100 - right[t]) // 9 + (p == (t + 1) % 10) * ((100 - right[t]) % 9)
            for p in range(10)
        )
        for t in range(10)
    )
    per_class = tuple(row[c] / 100 for c, row in enumerate(confusion))
    return SplitScore(accuracy=accuracy, loss=1.0, per_class=per_class, confusion=confusion)


def save(results: Path, record: Record, accuracy: float | None) -> None:
    """The record and its learning curve."""
    folder = RunFolder(results, record.run_id)
    make_folder(folder.path)
    folder.write_record(record)
    if accuracy is not None:
        folder.write_metrics([_epoch(k + 1, accuracy) for k in range(6)])


def _epoch(epoch: int, accuracy: float) -> EpochMetrics:
    reached = accuracy * (1 - exp(-epoch / 2))
    return EpochMetrics(epoch=epoch, lr=0.001, train_loss=2.3 - 2 * reached, train_accuracy=reached, seconds=1.0)


def _images() -> DataIdentity:
    fingerprint = hashlib.sha256(b"cifar10 a").hexdigest()
    return DataIdentity(
        name="cifar10", fingerprint=fingerprint, split_hash=None, classes=CLASSES, train_size=45_000, val_size=5_000,
        test_size=10_000,
    )  # fmt: skip


def _search(folder: Path, results: Path, make_record: MakeRecord) -> None:
    """What a sweep over six points leaves: its plan, its runs, winners with fresh seeds."""
    sweep = load_sweep(folder / "grid.yaml")
    found: dict[str, Sequence[float | None]] = {}
    plan = []
    for place, (point, arm) in enumerate(zip(sweep.expansion.points, sweep.search_arms(), strict=True)):
        accuracy = None if place == 5 else 0.40 + 0.05 * place
        run = made_record(make_record, arm, arm.seeds[0], accuracy, search=True)
        save(results, run, None)
        found[point.name] = [accuracy]
        plan.append({"name": point.name, "values": dict(point.values), "runs": [run.run_id]})
    target = SweepFolder(results, "grid")
    search = sweep.search.model_dump(mode="json")
    write_document(results, target.plan, {"sweep": "grid", "search": search, "points": plan})
    winners = pick_winners(sweep.expansion.points, found, 2)
    document = winners_document(
        "grid", sweep.base, sweep.search, winners, points=6, runs=SearchRuns(6, 0, 1), base_val_accuracy=0.45,
        fingerprint=_images().fingerprint, val_size=5_000,
        plan_sha256=hashlib.sha256(target.plan.read_bytes()).hexdigest(),
    )  # fmt: skip
    write_document(results, target.winners, document)
    for rank, arm in enumerate(sweep.confirm_arms(winners)):
        for seed in arm.seeds:
            accuracy = 0.5 + 0.03 * rank + 0.001 * (seed - 100)
            save(results, made_record(make_record, arm, seed, accuracy), accuracy)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
