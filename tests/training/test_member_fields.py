"""Every setting that members of a cohort have for themselves: trained together each has its own value, as if alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from cifar_lab.config import Settings
from cifar_lab.config.roles import Role, role_of
from cifar_lab.training.grouping import cohort_key
from cifar_lab.training.job import Job
from cifar_lab.training.run import run_cohort
from tests.config.every_field import FieldCase, every_field

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))]

SMALL = [
    "data.train_size=58", "data.test_size=10", "data.val_size=10", "data.batch_size=8", "optimizer.lr=0.01", "epochs=4",
    "runtime.kernels=torch",
]  # fmt: skip

CUTS: dict[str, Any] = {"patience": 0, "threshold": 0.4, "factor": 0.5}
"""A plateau that cuts after each epoch but the first."""

LIVELY: dict[str, dict[str, Any]] = {
    "optimizer": {"lr": 0.01},
    "optimizer.adam": {"lr": 0.001},
    "optimizer.adam.eps": {"lr": 0.001, "eps": 0.1},
    "optimizer.adamw": {"lr": 0.001, "weight_decay": 0.4},
    "optimizer.adamw.eps": {"lr": 0.001, "eps": 0.1},
    "scheduler.plateau": CUTS,
    "scheduler.plateau.threshold": {**CUTS, "threshold": 0.0},
    "scheduler.plateau.monitor": {**CUTS, "threshold": 0.0, "monitor": "val_accuracy"},
    "scheduler.step": {"step_epochs": 1, "gamma": 0.5},
    "scheduler.cosine": {"min_lr": 0.002},
    "scheduler.one_cycle": {"max_lr": 0.01},
    "scheduler.one_cycle.final_div_factor": {"final_div_factor": 1.0, "div_factor": 2.0},
}
"""Values beside which another value of a field has an effect on so short a training; the longest key counts."""


def cases() -> dict[str, list[FieldCase]]:
    """The fields of members, by the class that has them."""
    found = defaultdict(list)
    for case in every_field():
        trainable = case.section != "data" or case.choice == "synthetic"
        if role_of(case.cls, case.name) is Role.MEMBER and trainable:
            found[".".join(filter(None, (case.section, case.choice))) or "settings"].append(case)
    return found


def base_of(case: FieldCase) -> dict[str, Any]:
    """The entry of `LIVELY` for a field, its class or its section."""
    return next((LIVELY[key] for key in (str(case), str(case).rpartition(".")[0], case.section) if key in LIVELY), {})


def pair(lab: Any, case: FieldCase, device: str, folder: Path) -> tuple[Settings, Settings]:
    """Settings small enough to train that differ in the field."""
    small = lab.settings(*SMALL, f"runtime.device={device}")
    if case.choice == "ResNet18":  # its rounding grows with each larger step
        small = small.model_copy(update={"optimizer": small.optimizer.model_copy(update={"lr": 1e-5})})
    name = case.section or case.name
    base = {**small.data.model_dump(), **base_of(case)} if case.section == "data" else base_of(case)
    one, other = (small.model_copy(update={name: getattr(each, name)}) for each in case.pair(folder, base))
    return one, other


def weights(job: Job) -> np.ndarray:
    """All numbers of a trained network."""
    tensors = load_file(job.results / "runs" / job.run_id / "weights.safetensors")
    return np.concatenate([tensors[name].ravel() for name in sorted(tensors)])


def train_together(jobs: Sequence[Job]) -> None:
    ends: list[Any] = []
    run_cohort(jobs, lambda job, event: None, lambda: False, lambda job, outcome: ends.append(outcome))
    for outcome in ends:
        if isinstance(outcome, Exception):
            raise outcome
        assert outcome.status == "done"


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", cases())
def test_members_that_differ_in_one_field_end_as_they_do_alone(
    lab: Any, name: str, device: str, tmp_path: Path
) -> None:
    pairs = [(case, *pair(lab, case, device, tmp_path)) for case in cases()[name]]
    arms = [settings for _, *both in pairs for settings in both]
    together = {job.run_id: job for job in (lab.job(arm, results="together", read_test=False) for arm in arms)}
    assert len({cohort_key(job) for job in together.values()}) == 1
    train_together(list(together.values()))
    alone = {job.run_id: job for job in (lab.job(arm, results="alone", read_test=False) for arm in arms)}
    for job in alone.values():
        lab.make(job)
    for case, *both in pairs:
        one, other = (lab.job(arm, results="alone", read_test=False).run_id for arm in both)
        effect = np.linalg.norm(weights(alone[other]) - weights(alone[one]))
        for run_id in (one, other):
            apart = np.linalg.norm(weights(together[run_id]) - weights(alone[run_id]))
            assert apart < 0.1 * effect, (
                f"{case}: trained together it ends {apart:.2g} from where it ends alone, and another value changes "
                f"{effect:.2g}; each member must use its own value, and LIVELY a base beside which the value matters"
            )
