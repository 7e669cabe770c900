"""`attack`: records beside the runs, nothing twice, and every way out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import cifar_lab
from cifar_lab.store.attack_records import find_attacks
from cifar_lab.store.results import RunFolder, read_records

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("trained lab")]

QUICK = ("--set", "images=60", "--device", "cpu")


@pytest.fixture
def folder(trained: Any, tmp_path: Path) -> Any:
    """A copy of the trained lab."""
    return trained.lab.copy(tmp_path / "lab")


def attack_paths(lab: Any) -> list[Path]:
    return [path for record in read_records(lab.results) for path in RunFolder(lab.results, record.run_id).attacks()]


def test_an_arm_gets_a_record_per_run_and_no_attack_is_made_twice(folder: Any) -> None:
    done = folder("attack", "tiny.yaml", "--attack", "pgd", "--attack", "deepfool", *QUICK)
    assert (done.code, done.err) == (0, "")
    assert done.lines[0].split() == ["arm", "attack", "level", "n", "accuracy", "std", "each", "run"]
    assert any("DeepFool L2: median distance" in line for line in done.lines)
    paths = attack_paths(folder)
    before = {path: path.stat().st_mtime_ns for path in paths}
    assert len(before) == 4
    again = folder("attack", "tiny.yaml", "--attack", "pgd", "--attack", "deepfool", *QUICK)
    assert again.lines == done.lines
    assert {path: path.stat().st_mtime_ns for path in paths} == before
    assert folder("verify").code == 0
    planned = folder("attack", "tiny.yaml", "--dry-run", *QUICK)
    assert planned.lines == ["2 runs, 1 attack: 0 to make, 2 already made", done.lines[-1]]
    assert done.lines[-1].startswith("next: cifar-lab report")


def test_seeds_select_the_runs_to_attack(folder: Any) -> None:
    command = ("attack", "tiny.yaml", "--attack", "fgsm", "--dry-run", *QUICK)
    assert folder(*command).lines[0] == "2 runs, 1 attack: 2 to make, 0 already made"
    planned = folder(*command, "--seeds", "1")
    assert planned.lines[0] == "1 run, 1 attack: 1 to make, 0 already made"
    assert planned.lines[-1].endswith("--seeds 1 --device cpu")
    refused = folder(*command, "--seeds", "0,7")
    assert refused.code == 2
    assert refused.err.strip() == "cifar-lab: --seeds: no finished run to attack has seed 7; their seeds are 0, 1"


def test_json_has_the_numbers_of_the_records(folder: Any) -> None:
    done = folder("attack", "tiny.yaml", "--json", "--set", "eps=[8/255]", *QUICK)
    document = json.loads(done.out)
    assert document["command"] == "attack"
    clean, attacked = document["levels"]
    assert (clean["level"], attacked["level"], attacked["n"]) == ("clean", "8/255", 2)
    assert attacked["accuracy"] <= clean["accuracy"]
    for record in read_records(folder.results):
        (made,) = find_attacks(folder.results, record)
        assert len(made.images) == 60
        assert len(made.levels) == 1
        assert made.levels[0].correct.count("1") / 60 in attacked["each"]


def test_a_wrong_name_setting_or_run_is_2_and_changes_nothing(folder: Any) -> None:
    before = folder.listing()
    for arguments in (
        ("attack", "no-such-run"),
        ("attack", "tiny.yaml", "--attack", "pgdd"),
        ("attack", "tiny.yaml", "--set", "stepss=3"),
        ("attack", "tiny.yaml", "--set", "eps=[9]"),
    ):
        done = folder(*arguments)
        assert (done.code, done.out) == (2, ""), arguments
        assert done.err.startswith("cifar-lab: ")
    assert folder.listing() == before


LAB = """\
title: A lab
control: tiny.yaml
questions:
  q1: {title: 'Is it more robust?', arms: [faster.yaml], chart: q1.png, robust: {attack: auto.yaml}}
"""


def test_a_lab_whose_attack_needs_an_extra_is_refused_before_anything_begins(folder: Any, tmp_path: Path) -> None:
    folder.write("faster.yaml", "extends: tiny.yaml\noptimizer: {lr: 0.03}\n")
    folder.write("auto.yaml", "name: autoattack\nimages: 20\n")
    folder.write("lab.yaml", LAB)
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfound = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'pyautoattack' else found(name, *rest)\n"
    )
    path = f"{tmp_path}:{Path(cifar_lab.__file__).parents[1]}"
    before = folder.listing()
    for more in ((), ("--dry-run",)):
        done = folder("attack", "--lab", "lab.yaml", *more, PYTHONPATH=path)
        assert (done.code, done.out, done.progress) == (6, "", []), more
        assert done.err.startswith("cifar-lab: lab.yaml: autoattack: pyautoattack is not installed; to install it: ")
        assert "pip install '.[attacks]'" in done.err
    assert folder.listing() == before


def test_damaged_weights_are_3(folder: Any) -> None:
    record = read_records(folder.results)[0]
    weights = RunFolder(folder.results, record.run_id).weights
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    done = folder("attack", record.run_id, *QUICK)
    assert done.code == 3
    assert "is damaged" in done.err
    assert attack_paths(folder) == []
