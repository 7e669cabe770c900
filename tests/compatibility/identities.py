"""Run ids with a fixed fingerprint of the images: of every shipped file, and of a change of every setting."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cifar_lab as lab

from .commands import HERE, OLD_LAB
from .internals import recipe, run_id

CONFIGS = HERE.parents[1] / "configs"

FINGERPRINT = "f" * 64
SEEDS = (0, 7, 4_294_967_295)

NET_WEIGHTS = OLD_LAB / "results" / "runs" / "0eafd07a72285daa" / "weights.safetensors"

CHANGES = (
    "label=another",
    "epochs=11",
    "seeds=[5,6]",
    "data.dataset=cifar100",
    "data.dataset=cifar10 data.root=elsewhere",
    "data.dataset=imagefolder data.root=somewhere",
    "data.dataset=synthetic data.train_size=200 data.test_size=50 data.difficulty=0.1 data.data_seed=3",
    "data.batch_size=128",
    "data.flip=true",
    "data.crop_padding=4",
    "data.policy=autoaugment",
    "data.policy=randaugment",
    "data.policy=trivialaugment",
    "data.noise_std=0.05",
    "data.normalize=channel",
    "data.normalize=none",
    "data.val_size=5000",
    "data.val_size=5000 data.split_seed=3",
    "data.split_seed=3",
    "data.dataset=synthetic data.train_size=300 data.batch_size=32 data.flip=true data.crop_padding=2 data.val_size=30",
    "model.name=Net1",
    "model.name=Net2",
    "model.name=Net3",
    "model.name=ResNet18",
    "model.name=ResNet18 model.pretrained=true",
    "model.name=Net model.weights=WEIGHTS",
    "model.name=LAB/small.py:Small",
    'model.name=LAB/small.py:Small model.options={"width":3,"depths":[1,2],"wide":true}',
    "model.name=LAB/broken.py:Broken",
    "optimizer.lr=0.01",
    "optimizer.weight_decay=0.0005",
    "optimizer.momentum=0.5",
    "optimizer.nesterov=true",
    "optimizer.name=adam",
    "optimizer.name=adam optimizer.lr=0.0005",
    "optimizer.name=adam optimizer.weight_decay=0.0005",
    "optimizer.name=adam optimizer.betas=[0.8,0.95]",
    "optimizer.name=adam optimizer.eps=1e-06",
    "optimizer.name=adamw",
    "optimizer.name=adamw optimizer.lr=0.003",
    "optimizer.name=adamw optimizer.weight_decay=0.05",
    "optimizer.name=adamw optimizer.betas=[0.95,0.98]",
    "optimizer.name=adamw optimizer.eps=1e-07",
    "scheduler.warmup_epochs=1.5",
    "scheduler.name=plateau",
    "scheduler.name=plateau scheduler.warmup_epochs=0.5",
    "scheduler.name=plateau scheduler.monitor=val_loss data.val_size=5000",
    "scheduler.name=plateau scheduler.monitor=val_accuracy data.val_size=5000",
    "scheduler.name=plateau scheduler.factor=0.5",
    "scheduler.name=plateau scheduler.patience=2",
    "scheduler.name=plateau scheduler.threshold=0.001",
    "scheduler.name=plateau scheduler.cooldown=1",
    "scheduler.name=plateau scheduler.min_lr=1e-05",
    "scheduler.name=step",
    "scheduler.name=step scheduler.warmup_epochs=1",
    "scheduler.name=step scheduler.step_epochs=4",
    "scheduler.name=step scheduler.gamma=0.5",
    "scheduler.name=cosine",
    "scheduler.name=cosine scheduler.warmup_epochs=2",
    "scheduler.name=cosine scheduler.min_lr=1e-05",
    "scheduler.name=one_cycle",
    "scheduler.name=one_cycle scheduler.max_lr=0.3",
    "scheduler.name=one_cycle scheduler.pct_start=0.4",
    "scheduler.name=one_cycle scheduler.div_factor=10",
    "scheduler.name=one_cycle scheduler.final_div_factor=100",
    "scheduler.name=one_cycle scheduler.cycle_momentum=false",
    "scheduler.name=one_cycle scheduler.base_momentum=0.8",
    "scheduler.name=one_cycle scheduler.max_momentum=0.99",
    "scheduler.name=one_cycle scheduler.cycle_momentum=false scheduler.base_momentum=0.8",
    "scheduler.name=one_cycle optimizer.name=adam",
    "loss.label_smoothing=0.1",
    "runtime.device=cpu",
    "runtime.precision=bf16",
    "runtime.compile=true",
    "runtime.kernels=torch",
    "runtime.kernels=own",
    "runtime.deterministic=false",
    "runtime.cohort=4",
    "runtime.threads=2",
    "epochs=10 optimizer.name=sgd optimizer.lr=0.001 optimizer.momentum=0.9 scheduler.name=none data.batch_size=64",
)
"""Overrides of the default settings; the last states some defaults. LAB is the folder of the old lab."""


def lines() -> Iterator[str]:
    """Ids (one per seed) of settings files and of changed settings, and a hash over the ids of each sweep's points."""
    settings_files, sweep_files = _files()
    for path in settings_files:
        yield f"{_ids(lab.load_settings(path))}  {path.parent.name}/{path.name}"
    for change in CHANGES:
        yield f"{_ids(_changed(change))}  {change}"
    for path in sweep_files:
        yield f"{_sweep_digest(path)} of {path.parent.name}/{path.name}"


def recipes() -> Iterator[str]:
    """The recipes that the ids are hashes of, as record.json has them, keys in their order."""
    settings_files, _ = _files()
    for path in settings_files:
        yield f"{path.parent.name}/{path.name}: {json.dumps(recipe(lab.load_settings(path)))}"
    for change in CHANGES:
        yield f"{change}: {json.dumps(recipe(_changed(change)))}"


LATER = ("q8_tpe", "q3_tuned")
"""Sweep files without an expected hash: proposals of Optuna, and a file that came later."""


def _files() -> tuple[list[Path], list[Path]]:
    """(settings files, sweep files without proposals of Optuna), shipped and of the old lab."""
    found = [path for folder in (CONFIGS, OLD_LAB) for path in sorted(folder.glob("*.yaml"))
             if path.stem not in ("lab", "lab_tuned")]  # fmt: skip
    sweeps = [path for path in found if path.read_text(encoding="utf-8").find("\nsearch:") > 0]
    return [path for path in found if path not in sweeps], [path for path in sweeps if path.stem not in LATER]


def _changed(change: str) -> Any:
    words = change.replace("WEIGHTS", str(NET_WEIGHTS)).replace("LAB", str(OLD_LAB)).split()
    return lab.settings_from({}, overrides=words)


def _ids(settings: Any) -> str:
    return " ".join(run_id(recipe(settings), FINGERPRINT, seed) for seed in SEEDS)


def _sweep_digest(path: Path) -> str:
    """SHA-256 over the label, the seeds and the ids of each point in order, and the number of points."""
    arms = lab.load_sweep(path).search_arms()
    text = "".join(f"{arm.label} {' '.join(map(str, arm.seeds))} {_ids(arm)}\n" for arm in arms)
    return f"{hashlib.sha256(text.encode()).hexdigest()}  {len(arms)} points"
