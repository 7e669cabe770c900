"""Damage to any file of a results folder: no command fails unforeseen, and no number changes in silence."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from cifar_lab.report import build

from ..compatibility.commands import Lab
from ..compatibility.golden import CACHE_VARIABLE
from .results_fuzz import DAMAGES, FuzzedLab

ADAM, CONTROL, DIVERGED = "13747b80a8ccfdc5", "6bec6d09b0ae94b4", "fc598f454169a1cc"
FAILED, INTERRUPTED, SEARCHED, CONFIRMED = (
    "8eee8ce96f1477ff",
    "ae49e40ad2b52e80",
    "766f6c1d2bd26f71",
    "d8eb4c9e9cd8799c",
)

SEALED = (
    *(f"runs/{run}/record.json" for run in (ADAM, CONTROL, DIVERGED, SEARCHED, CONFIRMED)),
    *(f"runs/{ADAM}/{name}" for name in ("predictions.npz", "weights.safetensors", "metrics.jsonl")),
    f"runs/{CONTROL}/metrics.jsonl",
    f"runs/{INTERRUPTED}/checkpoint.bin",
)
"""Files with a checksum."""

UNSEALED = (
    f"runs/{ADAM}/settings.yaml", f"runs/{INTERRUPTED}/settings.yaml", f"runs/{INTERRUPTED}/metrics.jsonl",
    f"runs/{FAILED}/failure.json", "sweeps/grid/plan.json", "sweeps/grid/winners.json", "sweeps/halving/history.json",
    "sweeps/halving/winners.json", "stopping/smooth-96ee3ade.json", "answers.json", "report.md", "summary.csv",
)  # fmt: skip
"""Files of this lab, which is of an earlier version, without a checksum."""

COMMANDS = (
    "list", "list --arms", f"show {ADAM}", f"show {INTERRUPTED}", f"show {FAILED}",
    "report --lab lab.yaml --format html,csv,json", "report --lab lab.yaml --check",
    "compare Adam control --lab lab.yaml", f"compare {ADAM} {CONTROL}", "compare Adam grid", "verify",
    "plan --lab lab.yaml --question optimizer", "run baseline.yaml adam.yaml net.yaml interrupted_net.yaml --dry-run",
    "sweep grid.yaml --dry-run",
)  # fmt: skip


@pytest.fixture(scope="module")
def old_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FuzzedLab]:
    """A copy of the lab of an earlier version, with a report. Charts are not drawn and nothing is synced."""
    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(folder / "cache"))
        lab = Lab.copied(folder / "lab")
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(build, "_write_chart", lambda *arguments: None)
        assert lab.give("run baseline.yaml").code == 0
        assert lab.give("report --lab lab.yaml --format html,md,csv,json").code == 0
        made = FuzzedLab(lab, COMMANDS, folder / "spare")
        made.begin()
        yield made


def fuzz(lab: FuzzedLab, trials: list[tuple[str, str, str]], chance: random.Random) -> list[str]:
    """Faults of the commands on these damages."""
    found = (lab.faults_of(*trial, chance, sealed=trial[0] in SEALED) for trial in trials)
    return [fault for fault in found if fault]


def every_trial() -> list[tuple[str, str, str]]:
    return [(name, damage, line) for name in (*SEALED, *UNSEALED) for damage in DAMAGES for line in COMMANDS]


def test_a_sample_of_damage(old_lab: FuzzedLab) -> None:
    chance = random.Random(1)
    faults = fuzz(old_lab, chance.sample(every_trial(), 100), chance)
    assert not faults, "\n".join(faults)


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_to_every_file(old_lab: FuzzedLab, damage: str) -> None:
    trials = [trial for trial in every_trial() if trial[1] == damage]
    faults = fuzz(old_lab, trials, random.Random(damage))
    assert not faults, "\n".join(faults)
