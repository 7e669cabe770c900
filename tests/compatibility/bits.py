"""Numbers that short trainings end with: bit for bit on the same kind of machine, nearly so on any other."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

import cifar_lab as lab

from .commands import HERE, OLD_LAB, Lab
from .outline import RESUMED

BASE: dict[str, Any] = {
    "data": {
        "dataset": "synthetic",
        "train_size": 130,
        "test_size": 60,
        "val_size": 30,
        "batch_size": 16,
        "difficulty": 0.1,
    },
    "optimizer": {"lr": 0.03},
    "epochs": 2,
    "seeds": [1],
    "runtime": {"device": "cpu", "threads": 1},
}
"""Seven steps per epoch, the last of four images."""

ARMS = (
    "model.name=Net",
    "model.name=Net optimizer.lr=0.04 runtime.kernels=torch",
    "model.name=Net1",
    "model.name=Net1 optimizer.lr=0.04 runtime.kernels=torch",
    "model.name=Net2",
    "model.name=Net3",
    "model.name=Net3 optimizer.lr=0.04 runtime.kernels=torch",
    "model.name=ResNet18 data.train_size=40 data.test_size=20 data.val_size=0 epochs=1",
    "model.name=LAB/small.py:Small",
    "model.name=Net model.weights=WEIGHTS",
    "optimizer.momentum=0 optimizer.weight_decay=0.01",
    "optimizer.nesterov=true",
    "optimizer.name=adam optimizer.lr=0.003 optimizer.betas=[0.8,0.99]",
    "optimizer.name=adam optimizer.lr=0.003 runtime.kernels=torch optimizer.weight_decay=0.01",
    "optimizer.name=adamw optimizer.lr=0.003",
    "optimizer.name=adamw optimizer.lr=0.003 runtime.kernels=torch optimizer.eps=1e-06",
    "scheduler.name=plateau scheduler.patience=0 scheduler.threshold=0.5 epochs=4",
    "scheduler.name=step scheduler.step_epochs=1 scheduler.warmup_epochs=0.5",
    "scheduler.name=cosine scheduler.min_lr=0.001 scheduler.warmup_epochs=1",
    "scheduler.name=one_cycle scheduler.max_lr=0.1",
    "scheduler.name=one_cycle optimizer.name=adam scheduler.cycle_momentum=false",
    "data.flip=true data.crop_padding=4",
    "data.policy=autoaugment data.noise_std=0.05",
    "data.policy=randaugment runtime.kernels=torch",
    "data.policy=trivialaugment data.normalize=channel",
    "data.normalize=none data.split_seed=3",
    "loss.label_smoothing=0.1",
    "loss.label_smoothing=0.2 runtime.kernels=torch",
    "runtime.precision=bf16",
    "runtime.deterministic=false optimizer.lr=0.02 runtime.kernels=torch",
    "runtime.cohort=3 seeds=[1,2,3] data.flip=true",
    "runtime.cohort=3 seeds=[1,2,3] model.name=Net1 optimizer.name=adam",
)
"""Overrides of `BASE`; LAB is the folder of the old lab, and WEIGHTS a file of Net's in it."""

WEIGHTS = OLD_LAB / "results" / "runs" / "0eafd07a72285daa" / "weights.safetensors"

Numbers = dict[str, Any]


def machine() -> dict[str, str]:
    """Versions that decide rounding: torch, the processor and the compiler of the C kernels."""
    told = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    lines = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in told.splitlines())}
    try:
        compiler = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        compiler = "none"
    return {
        "torch": torch.__version__,
        "processor": f"{platform.machine()} {lines.get('model name', '')} {torch.backends.cpu.get_cpu_capability()}",
        "features": hashlib.sha256(lines.get("flags", "").encode()).hexdigest()[:16],
        "compiler": (compiler.splitlines() or [""])[0],
    }


def trained(results: Path) -> Numbers:
    """The numbers of every arm and seed, each trained from the start."""
    places = {"LAB": str(OLD_LAB), "WEIGHTS": str(WEIGHTS)}
    arms = []
    for number, change in enumerate(ARMS):
        for word, place in places.items():
            change = change.replace(word, place)
        arms.append(lab.settings_from(BASE, overrides=[f"label=arm{number:02}", *change.split()]))
    made = lab.make_runs(arms, results, workers=1, display=lab.Silent())
    names = {arm.label: change for arm, change in zip(arms, ARMS, strict=True)}
    return {
        f"{names[each.label]} · seed {each.seed}": numbers_of(results / "runs" / each.run_id)
        for each in sorted(made.records, key=lambda record: (record.label, record.seed))
    }


def resumed(written: Lab) -> Numbers:
    """The numbers of the interrupted runs of the old lab, after they were resumed."""
    return {run_id: numbers_of(written.run(run_id)) for run_id in RESUMED}


def numbers_of(folder: Path) -> dict[str, Any]:
    """Numbers of a run, and the checksums of its files."""
    record = json.loads((folder / "record.json").read_bytes())
    epochs = [json.loads(line) for line in (folder / "metrics.jsonl").read_bytes().splitlines()]
    scores = {
        f"{split}_{name}": record[split][name]
        for split in ("val", "test")
        for name in ("accuracy", "loss")
        if record[split] is not None
    }
    return {
        "run_id": record["run_id"],
        "kernels": record["environment"]["kernels"],
        "stacked": record["environment"]["stacked"],
        "lr": [each["lr"] for each in epochs],
        "train_loss": [each["train_loss"] for each in epochs],
        **scores,
        "files": record["files"],
    }


def golden(name: str) -> Any:
    """Numbers as the old code had them, with the machine that it ran on."""
    return json.loads((HERE / "golden" / name).read_bytes())
