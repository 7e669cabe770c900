from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import pytest

from cifar_lab.report.answers import Answer
from cifar_lab.report.datachoice import DataSet
from cifar_lab.report.page import CSV_COLUMNS, csv_page, markdown_page
from cifar_lab.report.questions import Lab
from cifar_lab.report.summary import Row
from cifar_lab.report.winners import SearchRuns, SearchWords, SweepControl, Winners
from cifar_lab.sheets import Question

CIFAR10 = DataSet("cifar10", "0123456789abcdef" * 4, 50_000, 10_000, 10, 3)
MADE_UP = DataSet("synthetic", "fedcba9876543210" * 4, 5_000, 1_000, 10, 2)
CONTROL = Row(
    "baseline", values=((0, 0.5), (1, 0.52), (2, 0.48)), mean=0.5, std=0.02, seconds=61.26, epochs=10,
    parameters=62_006, data="cifar10", fingerprint=CIFAR10.fingerprint, is_control=True,
)  # fmt: skip


def lab(*rows: Row, data: DataSet | None = CIFAR10, others: tuple[DataSet, ...] = (), **answer: Any) -> Lab:
    question = Question(title="Does Adam help?", arms=("a.yaml",), chart="q3.png", note="Same rate.")
    return Lab("A lab", data, others, (Answer("q3", question, (CONTROL, *rows), **answer),))


def csv_rows(page: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(page)))


def test_a_section_by_hand() -> None:
    adam = Row(
        "Adam", values=((0, 0.62), (1, 0.64)), mean=0.63, std=0.01414, seconds=70.0, epochs=10, parameters=62_006,
        diverged=((2, "loss is nan at step 7"),),
    )  # fmt: skip
    gone = Row("AdamW", missing_seeds=(0, 1), command="cifar-lab run configs/q3_adamw.yaml")
    page = markdown_page(lab(adam, gone))
    section = page[page.index("## q3") :]
    assert section == (
        "## q3: Does Adam help?\n\n"
        "![Does Adam help?](q3.png)\n\n"
        "| arm | n | mean % | std | vs control | each seed | s a run | epochs | parameters |\n"
        "| --- | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: |\n"
        "| baseline (control) | 3 | 50.00 | 2.00 |  | 0: 50.00, 1: 52.00, 2: 48.00 | 61.3 | 10 | 62,006 |\n"
        "| Adam | 2 | 63.00 | 1.41 | +12.00 pp (2 shared seeds) | 0: 62.00, 1: 64.00, 2: diverged | 70.0 | 10 "
        "| 62,006 |\n"
        "| AdamW | 0 | no runs yet |  |  | 0: to run, 1: to run |  |  |  |\n\n"
        "**Caution:** too few runs to tell a difference from chance: Adam (2 runs).\n\n"
        "Note: Same rate.\n\n"
        "- Adam, seed 2, diverged: loss is nan at step 7\n\n"
        "Runs still to make:\n\n"
        "- `cifar-lab run configs/q3_adamw.yaml`\n"
    )


def test_how_often_the_test_set_was_read_and_what_a_second_means() -> None:
    page = markdown_page(replace(lab(), test_reads=1234))
    assert (
        "The test set was read 1,234 times for these runs, once for each tested run on these images in this folder."
        in page
    )
    assert "The test set was read once for these runs" in markdown_page(replace(lab(), test_reads=1))
    assert "in seconds,\nwith all workers of its command side by side" in page


def test_zero_is_a_number_not_a_gap() -> None:
    page = markdown_page(lab(Row("dead", values=((0, 0.0), (1, 0.0), (2, 0.0)), mean=0.0, std=0.0)))
    assert "| dead | 3 | 0.00 | 0.00 | -50.00 pp | 0: 0.00, 1: 0.00, 2: 0.00 |" in page


def test_the_data_set_is_named_and_the_others_offered() -> None:
    twin = DataSet("synthetic", "00ff" * 16, 5_000, 1_000, 10, 1)
    page = markdown_page(lab(others=(MADE_UP, twin)))
    assert (
        "**CIFAR-10**: 50,000 training and 10,000 test images in 10 classes, so chance is 10 %. "
        "Fingerprint `01234567`." in page
    )
    assert "synthetic data (2 runs: `cifar-lab report --data fedcba98`)" in page
    assert "synthetic data (1 run: `cifar-lab report --data 00ff00ff`)" in page
    assert "synthetic data (2 runs: `cifar-lab report --data synthetic`)" in markdown_page(lab(others=(MADE_UP,)))


def test_made_up_images_are_called_so() -> None:
    assert "These images are **made up, to try the tool**." in markdown_page(lab(data=MADE_UP))
    assert "made up" not in markdown_page(lab())


def test_a_search_shows_its_validation_accuracy_beside_the_test() -> None:
    runs = SearchRuns(searched=8, failed=0, diverged=0)
    search = SearchWords(method="grid", seeds=(0,), val_size=50)
    found = Winners(
        sweep="g", plan_sha256="", fingerprint="", search=search, confirm_seeds=(100,), points=8, runs=runs,
        control=SweepControl(label="c", recipe={}), winners=(),
    )  # fmt: skip
    row = Row("Adam", values=((100, 0.62),), mean=0.62, val_mean=0.655)
    page = markdown_page(lab(row, sweep=found))
    assert "| vs control | search % | each seed |" in page
    assert "| Adam | 1 | 62.00 |  | +12.00 pp (no shared seed) | 65.50 | 100: 62.00 |" in page
    assert csv_rows(csv_page(lab(row, sweep=found)))[1]["search_val_accuracy"] == "0.655"


@pytest.mark.parametrize(
    "label", ["<script>alert(1)</script>", "a | b", "line\n## break\n\n| x |", "`code` ![x](y)", "\x1b]0;title\x07"]
)
def test_hostile_labels_stay_inside_their_cell(label: str) -> None:
    page = markdown_page(lab(Row(label, values=((0, 0.5),), mean=0.5)))
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert len(table) == 4
    assert {line.replace("\\|", "").count("|") for line in table} == {10}
    assert "<script" not in page
    assert "\x1b" not in page
    assert [line for line in page.splitlines() if line.startswith("## ")] == ["## Data", "## q3: Does Adam help?"]


def test_csv_has_a_line_an_arm_with_numbers_as_numbers() -> None:
    worse = Row("=cmd()", values=((0, 0.25),), mean=0.25, diverged=((4, "loss"),), missing_seeds=(1, 2))
    page = csv_page(lab(worse))
    assert page.splitlines()[0].split(",") == list(CSV_COLUMNS)
    control, arm = csv_rows(page)
    assert (control["question"], control["arm"], control["is_control"]) == ("q3", "baseline", "yes")
    assert (float(control["mean_accuracy"]), float(control["std_accuracy"]), control["n"]) == (0.5, 0.02, "3")
    assert (control["seeds"], control["accuracies"], control["difference_pp"]) == ("0 1 2", "0.5 0.52 0.48", "")
    assert arm["arm"] == "'=cmd()"
    assert (arm["difference_pp"], arm["difference_pairs"]) == ("-25.0", "1")
    assert (arm["diverged_seeds"], arm["missing_seeds"], arm["std_accuracy"]) == ("4", "1 2", "")


def test_without_runs_the_page_says_so() -> None:
    assert "No runs yet: give the commands below." in markdown_page(lab(data=None))
