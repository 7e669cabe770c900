"""A sweep that tunes two optimizers, from the file through the report, its check and its page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.store.documents import write_document

pytestmark = pytest.mark.slow

SWEEP = """\
base: tiny.yaml
search: {per: optimizer.name, confirm_seeds: [100, 101, 102], val_size: 50}
space:
  optimizer.name: [sgd, adam]
  optimizer.momentum: {values: [0.5, 0.9], when: {optimizer.name: sgd}}
  optimizer.lr:
    - {values: [0.02], when: {optimizer.name: sgd}}
    - {values: [0.001, 0.002], when: {optimizer.name: adam}}
"""

SHEET = """\
title: A lab
control: tiny.yaml
questions:
  q1: {title: 'Is Adam better than SGD?', sweep: tuned.yaml, chart: q1.png}
"""


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, trained: Any) -> tuple[Any, Any]:
    """(a lab whose sweep was made once, the command). To be read, never changed."""
    made = trained.lab.copy(tmp_path_factory.mktemp("tuned") / "lab")
    made.write("tuned.yaml", SWEEP)
    made.write("sheet.yaml", SHEET)
    return made, made("sweep", "tuned.yaml", "--workers", "1")


def test_each_group_has_its_winner_with_fresh_seeds(tuned: tuple[Any, Any]) -> None:
    lab, done = tuned
    assert done.code == 0
    assert "Best of each optimizer.name by validation accuracy:" in done.lines
    winners = json.loads((lab.results / "sweeps" / "tuned" / "winners.json").read_text())
    assert (winners["schema"], winners["search"]["per"], winners["points"]) == (3, ["optimizer.name"], 4)
    chosen = [winners["control"], *winners["winners"]]
    assert [(each["group"], each["points"]) for each in chosen] == [("SGD", 2), ("Adam", 2)]
    tested = [json.loads(path.read_text()) for path in lab.results.glob("runs/*/record.json")]
    fresh = [(run["settings"]["optimizer"]["name"], run["seed"]) for run in tested if run["seed"] >= 100]
    assert sorted(fresh) == [(name, seed) for name in ("adam", "sgd") for seed in (100, 101, 102)]
    plan = json.loads((lab.results / "sweeps" / "tuned" / "plan.json").read_text())
    assert [point["group"] for point in plan["points"]] == ["SGD", "SGD", "Adam", "Adam"]
    assert ["optimizer.momentum" in point["values"] for point in plan["points"]] == [True, True, False, False]


def test_the_report_compares_the_groups_and_is_checked(tuned: tuple[Any, Any], tmp_path: Path) -> None:
    lab = tuned[0].copy(tmp_path / "lab")
    done = lab("report", "--lab", "sheet.yaml", "--details")
    assert done.code == 0
    (line,) = [line for line in done.lines if line.startswith("q1: ")]
    assert "Each at the best of 2 points: " in line
    assert any("SGD · momentum 0." in line and "is the best of 2 points: " in line for line in done.lines)
    assert any("which favours no group, because all had as many tries" in line for line in done.lines)
    answers = json.loads((lab.results / "answers.json").read_text())
    (question,) = answers["questions"]
    (comparison,) = question["comparisons"]
    assert (comparison["method"], comparison["seeds"], comparison["look"]) == ("paired", [100, 101, 102], 1)
    assert [each["group"] for each in question["sweep"]["groups"]["each"]] == ["SGD", "Adam"]
    assert question["sweep"]["luck"] is None
    page = (lab.results / "report.html").read_text()
    assert "Each at the best of 2 points: " in page
    checked = lab("report", "--lab", "sheet.yaml", "--check")
    assert (checked.code, checked.lines[-1]) == (
        0,
        "report.html, report.md, summary.csv, answers.json: equal to the records",
    )
    found = lab("report", "--found")
    assert "Which optimizer.name is best where each is tuned (sweep tuned)?" in (lab.results / "report.md").read_text()
    assert found.code == 0


def test_winners_that_the_records_do_not_give_are_named(tuned: tuple[Any, Any], tmp_path: Path) -> None:
    lab = tuned[0].copy(tmp_path / "lab")
    path = lab.results / "sweeps" / "tuned" / "winners.json"
    lab("report", "--lab", "sheet.yaml")
    winners = json.loads(path.read_text())
    winners.pop("sha256")
    winners["winners"][0]["points"] = 9
    write_document(lab.results, path, winners)
    done = lab("report", "--lab", "sheet.yaml", "--check")
    assert done.code == 1
    assert "winners.json: points of Adam: 9 on disk, 2 from the records" in done.out + done.err


def test_the_same_command_again_makes_nothing(tuned: tuple[Any, Any]) -> None:
    lab, _ = tuned
    folder = lab.results / "sweeps" / "tuned"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = lab("sweep", "tuned.yaml")
    assert (done.code, done.progress) == (0, ["4 runs: 4 already done", "6 runs: 6 already done"])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_export_has_the_parameters_of_each_point(tuned: tuple[Any, Any], tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    lab, file = tuned[0].copy(tmp_path / "lab"), tmp_path / "study.db"
    assert lab("sweep", "tuned.yaml", "--export-optuna", str(file)).code == 0
    study = optuna.load_study(study_name="tuned", storage=f"sqlite:///{file}")
    assert [sorted(trial.params) for trial in study.trials] == [
        ["optimizer.lr", "optimizer.momentum", "optimizer.name"],
        ["optimizer.lr", "optimizer.momentum", "optimizer.name"],
        ["optimizer.lr[1]", "optimizer.name"],
        ["optimizer.lr[1]", "optimizer.name"],
    ]


ROBUST = """\
title: A lab
control: tiny.yaml
questions:
  q1: {title: 'Is Adam better than SGD?', sweep: tuned.yaml, chart: q1.png}
  q2: {title: 'Is it more robust?', sweep: tuned.yaml, chart: q2.png, robust: {attack: weak.yaml, eps: 1/255}}
  q3: {title: 'Is it farther?', sweep: tuned.yaml, chart: q3.png, robust: {attack: far.yaml, equal_clean: 0.001}}
"""


def test_the_winners_of_a_sweep_are_attacked_as_the_lab_asks_and_compared(
    tuned: tuple[Any, Any], tmp_path: Path
) -> None:
    lab = tuned[0].copy(tmp_path / "lab")
    lab.write("sheet.yaml", ROBUST)
    lab.write("weak.yaml", "{name: pgd, steps: 2, eps: 1/255, images: 40}\n")
    lab.write("far.yaml", "{name: deepfool, steps: 20, images: 40}\n")
    before = lab("report", "--lab", "sheet.yaml")
    assert "to run: cifar-lab attack --lab sheet.yaml" in before.lines
    planned = lab("attack", "--lab", "sheet.yaml", "--dry-run")
    assert planned.lines[0] == "6 runs, 2 attacks: 12 to make, 0 already made"
    assert planned.lines[1] == "time: a few seconds"
    some = lab("attack", "--lab", "sheet.yaml", "--attack", "weak.yaml", "--seeds", "100,101", "--dry-run")
    assert some.lines[0] == "4 runs, 1 attack: 4 to make, 0 already made"
    other = lab("attack", "--lab", "sheet.yaml", "--attack", "fgsm")
    assert (other.code, other.out) == (2, "")
    assert "--attack fgsm: no question of sheet.yaml that has runs asks for this attack" in other.err
    done = lab("attack", "--lab", "sheet.yaml", "--device", "cpu")
    assert (done.code, done.lines[-1]) == (0, "next: cifar-lab report --lab sheet.yaml")
    again = lab("attack", "--lab", "sheet.yaml", "--dry-run")
    assert again.lines == [
        "6 runs, 2 attacks: 0 to make, 12 already made",
        "next: cifar-lab report --lab sheet.yaml",
    ]
    after = lab("report", "--lab", "sheet.yaml")
    assert (after.code, after.err) == (0, "")
    assert not any("to run" in line for line in after.lines)
    answers = json.loads((lab.results / "answers.json").read_text())
    clean, robust, far = answers["questions"]
    assert (clean["sweep"]["name"], robust["sweep"], far["sweep"]) == ("tuned", None, None)
    assert [len(arm["runs"]) for arm in robust["robustness"]] == [3, 3]
    (comparison,) = robust["comparisons"]
    assert (comparison["method"], comparison["seeds"]) == ("paired", [100, 101, 102])
    assert far["comparisons"][0]["verdict"] == "no verdict"
    assert lab("report", "--lab", "sheet.yaml", "--check").code == 0


def test_attacks_of_a_lab_take_no_other_names(trained_copy: Any) -> None:
    trained_copy.write("sheet.yaml", ROBUST.partition("  q1")[0] + "  q1: {title: A, arms: [b.yaml], chart: q1.png}\n")
    trained_copy.write("b.yaml", "{extends: tiny.yaml, optimizer: {lr: 0.03}}\n")
    for arguments, words in (
        ((), "nothing to attack; name runs or arms, or a lab file: --lab FILE"),
        (("tiny.yaml", "--lab", "sheet.yaml"), "tiny.yaml: the lab file names the runs; give them or --lab"),
        (("--lab", "sheet.yaml"), "sheet.yaml: no question has robust"),
    ):
        done = trained_copy("attack", *arguments)
        assert (done.code, done.out) == (2, "")
        assert words in done.err
