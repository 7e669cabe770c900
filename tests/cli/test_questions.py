"""From a question to its answer on the command line: run --question, plan, report, compare, list --arms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

BASELINE = """\
label: tiny
data: {dataset: synthetic, train_size: 200, test_size: 100, batch_size: 20, difficulty: 0.1}
optimizer: {lr: 0.02}
epochs: 1
seeds: [0, 1, 2]
"""
SHEET = """\
title: A tiny lab
control: baseline.yaml
min_effect: 1.5
questions:
  q1: {title: 'Does Adam help?', arms: [adam.yaml], factor: [optimizer], chart: q1.png}
  q2: {title: 'Two things at once?', arms: [both.yaml], chart: q2.png}
"""


def write_files(lab: Any) -> None:
    lab.write("baseline.yaml", BASELINE)
    lab.write("adam.yaml", "extends: baseline.yaml\nlabel: Adam\noptimizer: {name: adam, lr: 0.01}\n")
    lab.write("both.yaml", "extends: baseline.yaml\nlabel: both\ndata: {flip: true}\nloss: {label_smoothing: 0.1}\n")
    lab.write("configs/lab.yaml", SHEET.replace("[adam", "[../adam").replace("[both", "[../both").replace(
        "control: base", "control: ../base"))  # fmt: skip


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path, trained: Any) -> tuple[Any, Any]:
    """A lab in which q1 was asked, and what was said. To be read, never changed."""
    lab = type(trained.lab)(tmp_path_factory.mktemp("asked"), shared_cache)
    write_files(lab)
    return lab, lab("run", "--question", "q1")


def test_a_question_trains_its_control_and_its_arms(asked: tuple[Any, Any]) -> None:
    lab, done = asked
    assert (done.code, done.err) == (0, "")
    assert done.progress[0] == "6 runs: 6 to train"
    again = lab("run", "--question", "q1", "--dry-run")
    assert again.lines[-2] == "6 runs: 6 already done"
    whole = lab("run", "--all", "--dry-run")
    assert whole.lines[-2] == "9 runs: 6 already done, 3 to train"


@pytest.mark.parametrize(
    "command",
    [("run", "adam.yaml"), ("run", "--question", "q1"), ("run", "--all", "--until-decided"), ("sweep", "rates.yaml")],
)
def test_a_dry_run_needs_no_cluster(lab: Any, command: tuple[str, ...]) -> None:
    write_files(lab)
    lab.write("rates.yaml", "base: baseline.yaml\nsearch: {val_size: 50}\nspace: {optimizer.lr: [0.01, 0.02]}\n")
    ray = ("--engine", "ray", "--address", "127.0.0.1:1", "--mirror", "tensorboard")
    done = lab(*command, "--dry-run", *ray, PYTHONPROFILEIMPORTTIME="1")
    assert done.code == 0, done.err
    imported = {line.rpartition("|")[2].strip() for line in done.err.splitlines()}
    assert "cifar_lab.execution.context" in imported
    assert not imported & {"ray", "tensorboard", "cifar_lab.execution.ray.engine"}
    assert not lab.results.exists()


def test_the_report_answers_in_words_and_numbers(asked: tuple[Any, Any]) -> None:
    lab, _ = asked
    done = lab("report", "--details")
    assert done.code == 0
    assert any("Adam" in line and "tiny" in line and "3 shared seeds" in line for line in done.lines)
    document = json.loads((lab.results / "answers.json").read_text())
    (comparison,) = document["questions"][0]["comparisons"]
    assert (comparison["method"], comparison["n"], comparison["min_effect_pp"]) == ("paired", 3, 1.5)


def test_the_plan_counts_runs_hours_and_seeds_and_proves_the_comparison(asked: tuple[Any, Any]) -> None:
    lab, _ = asked
    fair = lab("plan", "--question", "q1", "--effect", "0.5")
    assert (fair.code, fair.err) == (0, "")
    assert fair.lines[:2] == ["q1: Does Adam help?", "  runs: 6 runs, all already done"]
    assert any(line.startswith("  to detect 0.5 pp with 80 % power: ") for line in fair.lines)
    assert fair.lines[-2].endswith("optimizer.name sgd → adam and in nothing else from tiny")
    unfair = lab("plan", "--question", "q2")
    assert unfair.code == 2
    assert unfair.lines[1].startswith("  runs: 6 runs, 3 already done, 3 to train: about ")
    fault = (
        "    fault: it differs in 2 things, so the cause of a difference is unclear: data.flip, loss.label_smoothing"
    )
    assert fault in unfair.lines
    files = lab("plan", "baseline.yaml", "both.yaml")
    assert (files.code, fault in files.lines) == (2, True)


def test_two_arms_two_runs_and_names_that_mean_nothing(asked: tuple[Any, Any]) -> None:
    lab, _ = asked
    arms = lab("compare", "Adam", "baseline.yaml", "--details")
    assert (arms.code, arms.err) == (0, "")
    assert "3 shared seeds" in arms.out
    assert "optimizer.name" in arms.out
    first, second = sorted(path.name for path in (lab.results / "runs").iterdir())[:2]
    models = lab("compare", first[:10], second)
    assert models.code == 0
    assert "not about their settings" in models.out or "right and wrong" in models.out
    nothing = lab("compare", "Adam", "Eve")
    assert nothing.code == 2
    assert nothing.err.startswith("cifar-lab: no run id starts with 'Eve', and no settings file, label")
    same = lab("compare", "Adam", "adam.yaml")
    assert same.err == "cifar-lab: Adam and adam.yaml are the same runs; there is nothing to compare\n"
    empty = lab("compare", "Adam", "tiny", "--results", "nowhere")
    assert empty.err.startswith("cifar-lab: nowhere: no such results folder; ")


def test_what_does_not_matter_is_what_the_sheet_says_of_arms_of_one_of_its_questions(asked: tuple[Any, Any]) -> None:
    lab, _ = asked
    for first in ("Adam", "adam.yaml"):
        told = lab("compare", first, "baseline.yaml", "--details")
        assert told.code == 0
        assert "Differences below 1.5 pp are negligible here (min_effect of configs/lab.yaml)." in told.lines
    given = lab("compare", "Adam", "tiny", "--min-effect", "2", "--details")
    assert "Differences below 2 pp are negligible here (--min-effect)." in given.lines
    lab.write("strangers.yaml", SHEET.replace("[adam.yaml]", "[both.yaml]"))
    other = lab("compare", "Adam", "tiny", "--lab", "strangers.yaml", "--details")
    assert "Differences below 0.3 pp are negligible here (the default; --min-effect sets another)." in other.lines
    gone = lab("compare", "Adam", "tiny", "--lab", "nowhere.yaml")
    assert (gone.code, "nowhere.yaml" in gone.err) == (2, True)


def test_the_list_is_sorted_and_filtered_and_sums_up_arms(asked: tuple[Any, Any]) -> None:
    lab, _ = asked
    arms = lab("list", "--arms", "--sort", "arm", "--reverse")
    assert [line.split()[0] for line in arms.lines] == ["arm", "tiny", "Adam"]
    assert " ± " in arms.out
    adam = lab("list", "--filter", "label=A*", "--filter", "optimizer.lr=0.01", "--sort", "seed")
    assert [line.split()[2] for line in adam.lines[1:]] == ["0", "1", "2"]
    assert lab("list", "--filter", "seed=77").lines == ["no finished run matches the filter"]
    wrong = lab("list", "--sort", "accurcy")
    assert (wrong.code, "did you mean accuracy?" in wrong.err) == (2, True)
    typo = lab("list", "--filter", "optimizer.lrr=1")
    assert "no run has 'optimizer.lrr' — did you mean optimizer.lr?" in typo.err
    assert "is not KEY=VALUE" in lab("list", "--filter", "label").err


def test_seeds_are_added_until_the_question_is_decided(lab: Any) -> None:
    write_files(lab)
    lab.write("adam.yaml", "extends: baseline.yaml\nlabel: Adam\nloss: {label_smoothing: 0.000001}\n")
    done = lab("run", "--question", "q1", "--until-decided", "--max-seeds", "5")
    assert (done.code, done.err) == (0, "")
    assert "q1: look 1 of 2, 3 seeds (planned: 3, 5)" in done.lines
    assert done.lines[-2].strip() in ("decided", "not decided with 5 seeds: Adam")
    (plan,) = (lab.results / "stopping").iterdir()
    assert json.loads(plan.read_text())["looks"] == [3, 5]
    other = lab("run", "--question", "q1", "--until-decided", "--max-seeds", "9")
    assert other.code == 2
    assert "looks at 3 and 5 seeds; changing a plan after a look would break its error rate" in other.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run"], "run: nothing to run; name settings files, --question NAME or --all"),
        (["run", "--question", "q7"], "--question q7: configs/lab.yaml has no such question; it has q1, q2"),
        (["run", "adam.yaml", "--question", "q1"], "run: give files, or questions of the lab file"),
        (["run", "--all", "--question", "q1"], "run: --all is every question"),
        (["run", "adam.yaml", "--until-decided"], "run: --until-decided answers questions of the lab file"),
        (["run", "--all", "--until-decided", "--seeds", "1"], "run: --until-decided chooses the seeds"),
        (["run", "--all", "--until-decided", "--force"], "run: --until-decided continues from existing runs"),
        (["plan", "adam.yaml", "--question", "q1"], "plan: give files, or questions, not both"),
        (["plan", "--effect", "-1"], "--effect: -1 is out of range"),
        (["plan", "--lab", "nowhere.yaml"], "nowhere.yaml"),
        (["compare", "a", "b", "--min-effect", "0"], "--min-effect: 0 is out of range"),
    ],
)
def test_what_does_not_go_together_has_its_sentence(lab: Any, words: list[str], message: str) -> None:
    write_files(lab)
    before = lab.listing()
    done = lab(*words)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert message in done.err
    assert lab.listing() == before


def test_a_lab_file_that_names_a_missing_arm(lab: Any) -> None:
    write_files(lab)
    (lab.folder / "adam.yaml").unlink()
    lab.results.mkdir()
    for command in (["run", "--question", "q1"], ["plan"], ["report"]):
        done = lab(*command)
        assert done.code == 2
        assert "configs/lab.yaml:5" in done.err
        assert "adam.yaml" in done.err


def test_the_whole_lab_trains_its_arms_and_then_its_sweeps(lab: Any) -> None:
    write_files(lab)
    lab.write("baseline.yaml", BASELINE.replace("[0, 1, 2]", "[0]"))
    lab.write(
        "grid.yaml",
        "base: baseline.yaml\nsearch: {top: 1, confirm_seeds: [7], val_size: 20}\n"
        "space: {optimizer.lr: [0.02, 0.01]}\n",
    )
    sheet = "title: T\ncontrol: baseline.yaml\nquestions:\n"
    sheet += "  q1: {title: A, arms: [adam.yaml], chart: a.png}\n  q2: {title: B, sweep: grid.yaml, chart: b.png}\n"
    lab.write("lab.yaml", sheet)
    one = lab("run", "--question", "q2", "--lab", "lab.yaml")
    assert one.code == 0
    assert one.lines[-1] == "next: cifar-lab sweep grid.yaml"
    done = lab("run", "--all", "--lab", "lab.yaml")
    assert (done.code, done.err) == (0, "")
    assert (lab.results / "sweeps" / "grid" / "winners.json").is_file()
    report = lab("report", "--lab", "lab.yaml", "--details")
    assert any("of the validation images correct in the search" in line for line in report.lines)
    document = json.loads((lab.results / "answers.json").read_text())
    assert document["questions"][1]["sweep"]["luck"]["points"] == 2
    pair = lab("compare", "grid", "Adam")
    assert pair.code == 0
    assert "one run" in pair.out
    lab.write("lab.yaml", f"min_effect: 2.5\n{sheet}")
    winner = document["questions"][1]["sweep"]["winners"][0]["label"]
    again = lab("compare", "grid", "baseline.yaml", "--lab", "lab.yaml")
    assert again.code == 0
    assert winner in again.out
