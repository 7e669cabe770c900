"""`attack`: records beside the runs, nothing twice, and every way out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

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
