"""`cifar-lab sweep` and `report`, end to end on made-up images: one sweep is made, and read by every test."""

from __future__ import annotations

import csv
import fcntl
import json
import threading
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SWEEP = """\
base: tiny.yaml
search: {top: 1, seeds: [0], confirm_seeds: [100, 101], val_size: 50}
space:
  optimizer.lr: [0.02, 0.1]
exclude:
  - {optimizer.lr: 0.1, data.flip: true}
paired:
  - data.flip: [false, true]
    data.batch_size: [20, 25]
"""

SHEET = """\
title: A lab
control: tiny.yaml
questions:
  q1: {title: 'Do larger steps help?', arms: [large.yaml], chart: q1.png}
  q2: {title: 'What is best?', sweep: grid.yaml, chart: q2.png}
"""


def write_files(lab: Any) -> None:
    lab.write("large.yaml", "extends: tiny.yaml\nlabel: '<b>large</b> [red]'\noptimizer: {lr: 0.03}\n")
    lab.write("grid.yaml", SWEEP)
    lab.write("sheet.yaml", SHEET)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, trained: Any) -> tuple[Any, Any]:
    """(a lab whose sweep was made once, what the command said). To be read, never changed."""
    made = trained.lab.copy(tmp_path_factory.mktemp("swept") / "lab")
    write_files(made)
    return made, made("sweep", "grid.yaml", "--workers", "1")


def records(lab: Any) -> dict[str, dict[str, Any]]:
    return {path.parent.name: json.loads(path.read_text()) for path in lab.results.glob("runs/*/record.json")}


def test_a_dry_run_says_what_a_sweep_comes_to(lab: Any) -> None:
    write_files(lab)
    before = lab.listing()
    done = lab("sweep", "grid.yaml", "--dry-run", CIFAR_LAB_CACHE=str(lab.folder / "none"))
    assert (done.code, done.err) == (0, "")
    assert [line.split("  ")[0] for line in done.lines[:7]] == [
        "grid: 3 points, 1 excluded",
        "point",
        "lr 0.02 · no flip · batch 20",
        "lr 0.02 · flip · batch 25",
        "lr 0.1 · no flip · batch 20",
        "the images have not been prepared yet, so it is not known which runs already exist",
        "estimate: 3 runs to search, 0 already done, 3 to train; then at most 4 runs for the control and the best 1",
    ]
    assert done.lines[7].startswith("time: about 0.0 s for the search with ")
    assert done.lines[7].endswith("estimated from another machine, because this one has no run of the model yet")
    assert [line.partition(":")[0] for line in done.lines[8:]] == ["memory", "disk", "next"]
    assert lab.listing() == before


def test_the_search_never_reads_the_test_split(swept: tuple[Any, Any]) -> None:
    lab, _ = swept
    plan = json.loads((lab.results / "sweeps" / "grid" / "plan.json").read_text())
    assert plan["sweep"] == "grid"
    assert len(plan["points"]) == 3
    found = records(lab)
    for point in plan["points"]:
        (run,) = point["runs"]
        record = found[run]
        assert (record["test"], record["test_reason"], record["seed"]) == (None, "search", 0)
        assert (record["data"]["train_size"], record["data"]["val_size"]) == (150, 50)
        assert record["val"] is not None
        assert not (lab.results / "runs" / run / "predictions.npz").exists()


def test_the_winner_is_the_best_by_validation_and_is_tested_with_fresh_seeds(swept: tuple[Any, Any]) -> None:
    lab, done = swept
    assert (done.code, done.err) == (0, "")
    found = records(lab)
    plan = json.loads((lab.results / "sweeps" / "grid" / "plan.json").read_text())
    winners = json.loads((lab.results / "sweeps" / "grid" / "winners.json").read_text())
    validation = {point["name"]: found[point["runs"][0]]["val"]["accuracy"] for point in plan["points"]}
    best = max(validation, key=lambda name: validation[name])
    (winner,) = winners["winners"]
    assert (winner["rank"], winner["label"], winner["val_accuracy"]) == (1, best, validation[best])
    assert winners["points"] == 3
    assert winners["confirm_seeds"] == [100, 101]
    assert winners["search"] == {"method": "grid", "seeds": [0], "val_size": 50}
    assert winners["plan_sha256"] == sha256((lab.results / "sweeps" / "grid" / "plan.json").read_bytes()).hexdigest()
    assert {winners["fingerprint"]} == {record["data"]["fingerprint"] for record in found.values()}
    confirmed = [record for record in found.values() if record["recipe"] == winner["recipe"] and record["seed"] >= 100]
    assert sorted(record["seed"] for record in confirmed) == [100, 101]
    for record in confirmed:
        assert record["test"] is not None
        assert record["data"]["val_size"] == 0
    control = [record["seed"] for record in found.values() if record["recipe"] == winners["control"]["recipe"]]
    assert {100, 101} <= set(control)
    assert done.progress[0].startswith("estimate: 3 runs to search, 0 already done, 3 to train; then at most 4 runs")
    assert done.progress[1].startswith("time: about ")
    assert "measured on 2 runs here" in done.progress[1]
    assert done.progress[4] == "3 runs: 3 to train"
    assert f"   1  {best}" in done.out
    assert f"{validation[best]:.4f}" in done.out
    assert done.lines[-2:] == ["chart: results/grid.png", "next: cifar-lab report"]
    assert (lab.results / "grid.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_sweep_again_trains_nothing(swept: tuple[Any, Any]) -> None:
    lab, first = swept
    before = {path: path.stat().st_mtime_ns for path in (lab.results / "runs").rglob("*")}
    dry = lab("sweep", "grid.yaml", "--dry-run")
    assert all("  already done (0." in line for line in dry.lines[2:5])
    assert dry.lines[5] == "the search is over; without --dry-run its winners are trained with fresh seeds and tested"
    done = lab("sweep", "grid.yaml")
    assert (done.code, done.err) == (0, "")
    assert done.progress[0] == "3 runs: 3 already done"
    assert done.progress[1].endswith(" already done")
    results = first.lines[first.lines.index("Best by validation accuracy:") :]
    assert done.lines[done.lines.index("Best by validation accuracy:") :] == results
    assert {path: path.stat().st_mtime_ns for path in (lab.results / "runs").rglob("*")} == before


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ("100", "--seeds: 100 is in search.confirm_seeds; winners are confirmed with fresh seeds, choose another"),
        ("4294967296", "--seeds: 4294967296 is above 4294967295, the largest seed; choose a smaller one"),
        ("1,1", "--seeds: '1,1' names a seed twice"),
    ],
)
def test_seeds_of_a_search_obey_the_rules_of_the_file(lab: Any, seeds: str, message: str) -> None:
    write_files(lab)
    done = lab("sweep", "grid.yaml", "--dry-run", "--seeds", seeds)
    assert (done.code, done.out, done.err) == (2, "", f"cifar-lab: {message}\n")


@pytest.mark.parametrize("command", ["sweep", "check"])
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lr=0.3", "optimizer.lr is an axis of this sweep; edit space"),
        ("optimizer={lr: 0.3}", "optimizer.lr is an axis of this sweep; edit space"),
        ("data.flip=true", "data.flip is an axis of this sweep; edit paired[0]"),
        ("seeds=[3]", "seeds: a sweep has seeds and confirm_seeds; use --seeds, or edit search"),
    ],
)
def test_what_every_point_sets_is_not_overridden_in_the_control_alone(
    lab: Any, command: str, override: str, message: str
) -> None:
    write_files(lab)
    done = lab(command, "grid.yaml", "--set", override)
    assert (done.code, done.out, done.err) == (2, "", f"cifar-lab: --set {override}: {message}\n")


def test_a_check_of_a_sweep_checks_the_seeds_too(lab: Any) -> None:
    write_files(lab)
    done = lab("check", "grid.yaml", "--seeds", "101")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("cifar-lab: --seeds: 101 is in search.confirm_seeds;")


def test_a_sweep_file_is_no_settings_file_and_the_other_way_round(lab: Any) -> None:
    write_files(lab)
    done = lab("run", "grid.yaml")
    assert (done.code, done.err) == (
        2,
        "cifar-lab: grid.yaml: this is a sweep file; run it with cifar-lab sweep grid.yaml\n",
    )
    turned = lab("sweep", "tiny.yaml")
    assert turned.code == 2
    assert "this is a settings file, not a sweep file; train it with cifar-lab run tiny.yaml" in turned.err


def test_a_sweep_waits_for_a_run_that_another_command_holds(swept: tuple[Any, Any], tmp_path: Path) -> None:
    lab = swept[0].copy(tmp_path / "cut")
    plan = json.loads((lab.results / "sweeps" / "grid" / "plan.json").read_text())
    held = lab.results / "runs" / plan["points"][1]["runs"][0]
    (held / "record.json").unlink()
    (lab.results / "sweeps" / "grid" / "winners.json").unlink()
    with (held / "lock").open("w") as lock:
        lock.write("process 1 elsewhere")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        end = threading.Timer(2, fcntl.flock, (lock, fcntl.LOCK_UN))
        end.start()
        done = lab("sweep", "grid.yaml", "--workers", "1")
        end.join()
    name = plan["points"][1]["name"]
    assert done.code == 0
    assert done.err == f"{name} · seed 0: held by process 1 elsewhere; waiting for it\n"
    assert any(line.startswith(f"[1/1] {name} · seed 0: done, validation accuracy") for line in done.progress)
    assert (lab.results / "sweeps" / "grid" / "winners.json").exists()


def test_a_point_that_diverged_is_counted_and_never_a_winner(lab: Any) -> None:
    lab.write(
        "wild.yaml",
        "base: tiny.yaml\nsearch: {top: 2, confirm_seeds: [100], val_size: 50}\n"
        "space: {optimizer.lr: [1.0e+30, 0.03]}\n",
    )
    done = lab("sweep", "wild.yaml", "--workers", "1")
    assert (done.code, done.err) == (0, "")
    assert "search: 2 runs, 0 failed, 1 diverged" in done.lines
    winners = json.loads((lab.results / "sweeps" / "wild" / "winners.json").read_text())
    assert winners["runs"] == {"searched": 2, "failed": 0, "diverged": 1}
    assert [winner["label"] for winner in winners["winners"]] == ["lr 0.03"]
    assert lab("sweep", "wild.yaml", "--workers", "1", "--strict").code == 5


FRAGILE = """\
from torch import nn

class Fragile(nn.Module):
    def __init__(self, num_classes, breaks):
        super().__init__()
        self.layer, self.breaks = nn.Linear(3 * 32 * 32, num_classes), breaks

    def forward(self, images):
        if self.training and self.breaks:
            raise RuntimeError("out of patience")
        return self.layer(images.flatten(1))
"""


def test_a_search_with_failed_runs_tests_nothing_unless_that_is_allowed(lab: Any) -> None:
    lab.write("fragile.py", FRAGILE)
    lab.write("base.yaml", "extends: tiny.yaml\nmodel: {name: 'fragile.py:Fragile', options: {breaks: false}}\n")
    lab.write(
        "few.yaml",
        "base: base.yaml\nsearch: {top: 1, confirm_seeds: [100], val_size: 50}\n"
        "space: {model.options.breaks: [false, true]}\n",
    )
    sweep = lab.results / "sweeps" / "few"
    stopped = lab("sweep", "few.yaml", "--workers", "1", "--no-trial")
    assert stopped.code == 1
    assert stopped.err.startswith(
        "cifar-lab: 1 of 2 runs of the search failed, so no winner is chosen; run the same command again to retry "
        "them, or add --allow-failed to choose among the others; the first: breaks · seed 0: "
    )
    assert "out of patience" in stopped.err
    assert len(json.loads((sweep / "plan.json").read_text())["points"]) == 2
    assert [record["test"] for record in records(lab).values()] == [None]
    assert not (sweep / "winners.json").exists()
    allowed = lab("sweep", "few.yaml", "--workers", "1", "--allow-failed", "--no-trial")
    assert (allowed.code, allowed.err) == (1, "")
    (winner,) = json.loads((sweep / "winners.json").read_text())["winners"]
    assert winner["label"] == "no breaks"
    assert sum(record["test"] is not None for record in records(lab).values()) == 1


# --- report ---


def table(results: Path) -> list[dict[str, str]]:
    with (results / "summary.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_report_answers_every_question_from_the_records(swept: tuple[Any, Any]) -> None:
    lab, _ = swept
    before = {path: path.stat().st_mtime_ns for path in (lab.results / "runs").rglob("*")}
    done = lab("report", "--lab", "sheet.yaml", PYTHONPROFILEIMPORTTIME="1")
    imported = {line.rpartition("|")[2].strip() for line in done.err.splitlines()}
    assert done.code == 0
    assert "matplotlib" in imported
    assert not imported & {"torch", "torchvision"}
    assert done.lines[0] == "data set: synthetic data"
    assert done.lines[1].startswith("q2: – No verdict yet: ")
    assert "not answered yet: q1" in done.lines
    assert any(line.startswith("to run: cifar-lab run ") and "large.yaml" in line for line in done.lines)
    assert done.lines[-1] == (
        "wrote results/report.html, results/report.md, results/summary.csv, results/answers.json and 1 chart"
    )
    page = (lab.results / "report.md").read_text(encoding="utf-8")
    assert "<b>large" not in page
    assert "q2.png" in page
    assert (lab.results / "q2.png").stat().st_size > 5_000
    tested = [record for record in records(lab).values() if record["test"] is not None]
    counts = {row["arm"]: row["n"] for row in table(lab.results) if row["question"] == "q1"}
    control = [record for record in tested if record["label"] == "tiny" and record["seed"] < 100]
    assert counts == {"tiny": str(len(control)), "<b>large</b> [red]": "0"}
    assert {path: path.stat().st_mtime_ns for path in (lab.results / "runs").rglob("*")} == before


def test_a_report_without_runs_names_the_questions_in_one_line(lab: Any) -> None:
    write_files(lab)
    lab.results.mkdir()
    done = lab("report", "--lab", "sheet.yaml")
    assert (done.code, done.err) == (0, "")
    assert done.lines[:2] == ["no runs yet", "not answered yet: q1, q2 (not swept yet)"]
    assert not (lab.results / "q1.png").exists()


def test_a_report_of_a_folder_that_is_not_there_makes_none(lab: Any) -> None:
    done = lab("report")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("cifar-lab: results: no such results folder; ")
    assert not lab.results.exists()
    assert not lab.results.exists()


def test_a_report_on_a_data_set_without_runs_names_those_that_there_are(swept: tuple[Any, Any]) -> None:
    lab, _ = swept
    done = lab("report", "--lab", "sheet.yaml", "--data", "cifar10")
    assert done.code == 2
    assert done.err.startswith(
        "cifar-lab: --data cifar10: no runs of these arms on these images; there are runs on: synthetic ("
    )


# --- report --open and --watch ---


def test_a_watched_folder_has_a_page_without_a_verdict(swept: tuple[Any, Any], tmp_path: Path) -> None:
    lab = swept[0].copy(tmp_path / "watched")
    done = lab("report", "--watch")
    assert (done.code, done.err) == (0, "")
    assert done.lines[0].startswith("results/watch.html: updated every 5 seconds while runs are under way")
    assert done.lines[1].startswith("nothing is running: ")
    page = (lab.results / "watch.html").read_text(encoding="utf-8")
    assert "runs of the search ended, winners chosen" in page
    assert "is better than" not in page
    assert not (lab.results / "stopping").exists()


def test_an_opened_report_is_given_to_the_browser(swept: tuple[Any, Any], tmp_path: Path) -> None:
    lab = swept[0].copy(tmp_path / "opened")
    done = lab("report", "--lab", "sheet.yaml", "--open", BROWSER="echo %s")
    assert done.code == 0
    assert (lab.results / "report.html").resolve().as_uri() in done.out
    (lab.results / "report.html").unlink()
    done = lab("report", "--lab", "sheet.yaml", "--open", "--format", "csv")
    assert (done.code, done.err) == (
        0,
        "results/report.html: does not exist, so nothing is opened; add html to --format\n",
    )
