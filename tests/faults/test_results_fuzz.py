"""Damage to any file of a results folder: no command fails unforeseen, and no number changes in silence."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from cifar_lab.report import build
from cifar_lab.store.results import RunFolder

from ..compatibility.commands import Lab
from ..compatibility.golden import CACHE_VARIABLE
from .registry import case
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


@case(
    12,
    "any file of a results folder is damaged, replaced, made a folder or removed, and any command reads it",
    remains="the other files; the file is named, or no number changes",
)
def test_a_sample_of_damage(old_lab: FuzzedLab) -> None:
    chance = random.Random(1)
    faults = fuzz(old_lab, chance.sample(every_trial(), 100), chance)
    assert not faults, "\n".join(faults)


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    [each if each in ("byte set", "removed") else pytest.param(each, marks=pytest.mark.long) for each in DAMAGES],
)
def test_damage_of_every_kind(old_lab: FuzzedLab, damage: str) -> None:
    trials = [trial for trial in every_trial() if trial[1] == damage]
    chance = random.Random(damage)
    faults = fuzz(old_lab, chance.sample(trials, 1_520 // len(DAMAGES)), chance)
    assert not faults, "\n".join(faults)


REMADE = ("record.json", "settings.yaml", "metrics.jsonl", "predictions.npz", "weights.safetensors")
ARM = ("13747b80a8ccfdc5", "72f85fd22a2f8563", "82e89229fb5ecc15")


@pytest.mark.slow
def test_runs_are_made_again_with_the_same_numbers(old_lab: FuzzedLab) -> None:
    """Twenty-one damaged runs, three per command, of which a worker makes again what is damaged."""
    lab, chance = old_lab.lab, random.Random(7)
    assert lab.give("run adam.yaml --force").code == 0
    good = {run: scores(lab, run) for run in ARM}
    for _ in range(7):
        spoilt = [(f"{run}/{chance.choice(REMADE)}", chance.choice(list(DAMAGES))) for run in ARM]
        for name, damage in spoilt:
            DAMAGES[damage](lab.results / "runs" / name, chance)
        said = lab.give("run adam.yaml")
        assert "unforeseen" not in said.text, (spoilt, said.text)
        if said.code == 0:
            assert {run: scores(lab, run) for run in ARM} == good, spoilt
        else:
            assert said.code in (1, 3, 4), (spoilt, said.text)
            assert any(f"runs/{name}" in said.text for name, _ in spoilt), (spoilt, said.text)
            old_lab.restore()
            assert lab.give("run adam.yaml --force").code == 0
    old_lab.restore()


def scores(lab: Lab, run: str) -> object:
    """Scores of a run."""
    record = RunFolder(lab.results, run).read_record()
    return None if record is None else (record.val, record.test)
