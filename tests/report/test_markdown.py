from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import pytest

from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.data_choice import DataSet
from cifar_lab.analysis.lab import Lab
from cifar_lab.analysis.summary import Row
from cifar_lab.analysis.winners import SearchInfo, SearchRunsEntry, SweepControl, Winners
from cifar_lab.config.sheets import Question
from cifar_lab.report.columns import headers_of
from cifar_lab.report.latex import latex_page
from cifar_lab.report.markdown import csv_page, markdown_page

from .drawn import comparison

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
    found = (
        comparison("Adam <1>", 12.0, 12.0, low=-0.5, high=24.5, verdict="undecided", p_holm=0.0512),
        comparison("AdamW"),
    )
    page = markdown_page(lab(adam, gone, comparisons=found))
    section = page[page.index("## q3") :]
    undecided = (
        "Undecided: Adam &lt;1&gt; is 12.00 pp above SGD (95 % −0.50 to 24.50; 2 shared seeds; adjusted p = .051); "
        "more than 1,000 more seeds would be needed to decide. Of the runs of Adam, 1 of 3 diverged: they are not part "
        "of any mean."
    )
    assert section == (
        "## q3: Does Adam help?\n\n"
        f"- {undecided}\n- AdamW: no runs yet.\n\n"
        f"![{undecided} AdamW: no runs yet.](q3.png)\n\n"
        "| arm | n | mean % | std % | vs control | verdict | p | each seed % | s/run | epochs | parameters |\n"
        "| --- | ---: | ---: | ---: | ---: | --- | ---: | --- | ---: | ---: | ---: |\n"
        "| baseline (control) | 3 | 50.00 (45.03 to 54.97; n = 3) | 2.00 |  |  |  | 0: 50.00, 1: 52.00, 2: 48.00 "
        "| 61.3 | 10 | 62,006 |\n"
        "| Adam | 2 | 63.00 (50.29 to 75.71; n = 2) | 1.41 | +12.00 pp (95 % −0.50 to 24.50; 2 shared seeds) "
        "| ? undecided | .051 | 0: 62.00, 1: 64.00, 2: diverged | 70.0 | 10 | 62,006 |\n"
        "| AdamW | 0 | no runs yet |  | not comparable yet | – no verdict |  | 0: to run, 1: to run |  |  |  |\n\n"
        "Note: Same rate.\n\n"
        "- Adam, seed 2, diverged: loss is nan at step 7\n\n"
        "Missing runs:\n\n"
        "- `cifar-lab run configs/q3_adamw.yaml`\n"
    )


def test_how_often_the_test_set_was_read_and_what_a_second_means() -> None:
    page = markdown_page(replace(lab(), test_reads=1234))
    assert (
        "The test set was read 1,234 times for these runs, once for each tested run on these images in this folder."
        in page
    )
    assert "The test set was read once for these runs" in markdown_page(replace(lab(), test_reads=1))
    assert "in seconds, while all workers of its command ran side by side" in page


def test_zero_is_a_number_not_a_gap() -> None:
    page = markdown_page(lab(Row("dead", values=((0, 0.0), (1, 0.0), (2, 0.0)), mean=0.0, std=0.0)))
    assert "| dead | 3 | 0.00 (0.00 to 0.00; n = 3) | 0.00 |  |  |  | 0: 0.00, 1: 0.00, 2: 0.00 |" in page


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
    assert "These images are **synthetic, for trying the tool**." in markdown_page(lab(data=MADE_UP))
    assert "made up" not in markdown_page(lab())


def test_a_search_shows_its_validation_accuracy_beside_the_test() -> None:
    runs = SearchRunsEntry(searched=8, failed=0, diverged=0)
    search = SearchInfo(method="grid", seeds=(0,), val_size=50)
    found = Winners(
        sweep="g", plan_sha256="", fingerprint="", search=search, confirm_seeds=(100,), points=8, runs=runs,
        control=SweepControl(label="c", recipe={}), winners=(),
    )  # fmt: skip
    row = Row("Adam", values=((100, 0.62),), mean=0.62, val_mean=0.655)
    page = markdown_page(lab(row, sweep=found))
    assert "| verdict | p | search % | each seed % |" in page
    assert "| Adam | 1 | 62.00 (one run) |  |  |  |  | 65.50 | 100: 62.00 |" in page
    assert csv_rows(csv_page(lab(row, sweep=found)))[1]["search_val_accuracy"] == "0.655"


@pytest.mark.parametrize(
    "label", ["<script>alert(1)</script>", "a | b", "line\n## break\n\n| x |", "`code` ![x](y)", "\x1b]0;title\x07"]
)
def test_hostile_labels_stay_inside_their_cell(label: str) -> None:
    page = markdown_page(lab(Row(label, values=((0, 0.5),), mean=0.5)))
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert len(table) == 4
    assert {line.replace("\\|", "").count("|") for line in table} == {12}
    assert "<script" not in page
    assert "\x1b" not in page
    assert [line for line in page.splitlines() if line.startswith("## ")] == ["## Data", "## q3: Does Adam help?"]


def test_csv_has_a_line_an_arm_with_numbers_as_numbers() -> None:
    worse = Row("=cmd()", values=((0, 0.25),), mean=0.25, diverged=((4, "loss"),), missing_seeds=(1, 2))
    found = comparison("=cmd()", -25.0, -24.0, low=-31.0, high=-18.0, verdict="worse", p=0.01, p_holm=0.02)
    page = csv_page(lab(worse, comparisons=(found,)))
    assert page.splitlines()[0].split(",") == headers_of("csv")
    control, arm = csv_rows(page)
    assert (control["question"], control["arm"], control["is_control"]) == ("q3", "baseline", "yes")
    assert (float(control["mean_accuracy"]), float(control["std_accuracy"]), control["n"]) == (0.5, 0.02, "3")
    assert (control["seeds"], control["accuracies"], control["difference_pp"]) == ("0 1 2", "0.5 0.52 0.48", "")
    assert arm["arm"] == "'=cmd()"
    assert (arm["difference_pp"], arm["difference_pairs"]) == ("-24.5", "2")
    assert (arm["difference_low_pp"], arm["difference_high_pp"], arm["method"]) == ("-31.0", "-18.0", "paired")
    assert (arm["verdict"], arm["p"], arm["p_holm"]) == ("worse", "0.01", "0.02")
    assert float(control["mean_low"]) == pytest.approx(0.4503, abs=1e-4)
    assert (arm["mean_low"], control["verdict"]) == ("", "")
    assert (arm["diverged_seeds"], arm["missing_seeds"], arm["std_accuracy"]) == ("4", "1 2", "")


def test_without_runs_the_page_says_so() -> None:
    assert "No runs yet: run the commands below." in markdown_page(lab(data=None))


def test_latex_has_a_table_a_question_with_everything_escaped() -> None:
    bad = Row(r"50% & $x_1$ \\ {#} ~^", values=((0, 0.5),), mean=0.5)
    found = comparison("bad", 1.0, 2.0, low=-0.5, high=3.5, verdict="better", p_holm=0.0001)
    page = latex_page(lab(bad, comparisons=(found,)))
    assert page.count(r"\begin{table}") == page.count(r"\end{table}") == 1
    assert r"    baseline (control) & \labcell{50.00 (n = 3)}{45.03 to 54.97} &  &  &  \\" in page
    name = r"50\% \& \$x\_1\$ \textbackslash{}\textbackslash{} \{\#\} \textasciitilde{}\textasciicircum{}"
    assert rf"\caption{{Does Adam help? {name}: one run. Images: CIFAR-10.}}" in page
    difference = r"\labcell{+1.50 (2 pairs)}{95 \% $-$0.50 to 3.50} & better & \textless{} .001 \\"
    assert f"    {name} & 50.00 (one run) & {difference}\n" in page


def test_every_row_of_a_latex_table_has_its_five_cells() -> None:
    rows = (
        Row("lost", diverged=((0, "loss"), (1, "loss"))),
        Row("some", values=((0, 0.5), (1, 0.52)), mean=0.51, diverged=((2, "loss"),)),
        Row("[gone] & *", missing_seeds=(0,)),
    )
    found = (
        comparison("lost"),
        comparison("some", 1.0, 2.0, low=-0.5, high=3.5, method="welch", n=2, n_control=3),
        comparison("[gone]"),
    )
    page = latex_page(lab(*rows, comparisons=found))
    body = page[page.index(r"\midrule") : page.index(r"\bottomrule")].splitlines()[1:-1]
    cells = [line.strip().removesuffix(r" \\").split(" & ") for line in body]
    assert cells[1:] == [
        ["lost", "diverged", "not comparable yet", "no verdict", ""],
        ["some", r"\labcell{51.00 (n = 2)}{38.29 to 63.71, 1 diverged}",
         r"\labcell{+1.50 (n = 2, 3)}{95 \% $-$0.50 to 3.50}", "no verdict", ""],
        [r"{[}gone] \& {*}", "no runs yet", "not comparable yet", "no verdict", ""],
    ]  # fmt: skip


def test_latex_names_the_letters_that_pdflatex_has_not() -> None:
    assert "pdflatex has no letters" not in latex_page(lab(Row("naïve Łódź, lr ≤ 0.1", values=((0, 0.5),), mean=0.5)))
    page = latex_page(lab(Row("学习率 Ж", values=((0, 0.5),), mean=0.5)))
    assert "% pdflatex has no letters for Ж习学率: compile with lualatex or xelatex and a font that has them.\n" in page
