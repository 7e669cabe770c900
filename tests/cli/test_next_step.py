"""Last lines of commands: the next command, given as it is printed, until a question has its answer."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

THREE = """\
data: {dataset: synthetic, train_size: 200, test_size: 100, batch_size: 20, difficulty: 0.1}
optimizer: {lr: 0.02}
epochs: 1
seeds: [0, 1, 2]
"""
ADAM = "extends: base.yaml\nlabel: Adam\noptimizer: {name: adam, lr: 0.02}\n"
TWO_FACTORS = "extends: base.yaml\nmodel: {name: Net1}\nepochs: 2\n"
LAB = """\
title: A lab
control: base.yaml
questions:
  q1: {title: "Adam or SGD?", arms: [adam.yaml], factor: [optimizer], chart: q1.png}
"""
SWEEP = "base: base.yaml\nsearch: {top: 1, val_size: 40}\nspace: {optimizer.lr: [0.02, 0.05]}\n"
VERDICTS = ("is better than", "is worse than", "equivalent within", "Undecided: ", "the same runs")


@pytest.fixture
def folder(lab: Any) -> Any:
    """A folder with settings files and no lab file."""
    files = {"base.yaml": THREE, "adam.yaml": ADAM, "two.yaml": TWO_FACTORS, "sweep.yaml": SWEEP}
    for name, text in files.items():
        lab.write(name, text)
    return lab


def following(done: Any) -> list[str]:
    """The next command of an output, without the program."""
    assert done.code == 0, done.err
    (line,) = [line for line in done.lines if line.removeprefix("# ").startswith("next: ")]
    assert line == done.lines[-1]
    program, *words = shlex.split(line.removeprefix("# ").removeprefix("next: "))
    assert program == "cifar-lab"
    return words


def walk(lab: Any, *command: str, most: int = 5) -> tuple[list[str], str]:
    """(commands given, output of the last), until one ends without a next command."""
    given, words = [], list(command)
    for _ in range(most):
        given.append(" ".join(words))
        done = lab(*words)
        assert done.code == 0, f"{words}: {done.err}"
        if "next: " not in done.lines[-1]:
            return given, done.out
        words = following(done)
    raise AssertionError(f"no answer in {most} commands: {given}")


def has_verdict(text: str) -> bool:
    return any(words in text for words in VERDICTS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "commands"),
    [
        ("check adam.yaml", ["check adam.yaml", "run base.yaml adam.yaml", "report"]),
        ("plan base.yaml adam.yaml", ["plan base.yaml adam.yaml", "run base.yaml adam.yaml", "report"]),
        ("run adam.yaml", ["run adam.yaml", "run base.yaml adam.yaml", "report"]),
        ("run base.yaml", ["run base.yaml", "run base.yaml --set optimizer.name=adam", "report"]),
        (
            "run adam.yaml --set seeds=[0] --set data.batch_size=40",
            [
                "run adam.yaml --set seeds=[0] --set data.batch_size=40",
                "run adam.yaml --set data.batch_size=40 --seeds 0,1,2",
                "run base.yaml adam.yaml --set data.batch_size=40 --seeds 0,1,2",
                "report",
            ],
        ),
        ("run base.yaml two.yaml", ["run base.yaml two.yaml", "compare two.yaml base.yaml"]),
        ("sweep sweep.yaml", ["sweep sweep.yaml", "report"]),
        ("check sweep.yaml", ["check sweep.yaml", "sweep sweep.yaml", "report"]),
    ],
)
def test_the_commands_lead_to_a_verdict(folder: Any, first: str, commands: list[str]) -> None:
    given, last = walk(folder, *first.split())
    assert given == commands
    assert has_verdict(last)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "commands"),
    [
        ("check lab.yaml", ["check lab.yaml", "plan", "run --question q1", "report"]),
        ("run adam.yaml", ["run adam.yaml", "run base.yaml adam.yaml", "report"]),
        ("run base.yaml", ["run base.yaml", "run --question q1", "report"]),
        ("run --question q1 --set epochs=2", ["run --question q1 --set epochs=2", "report --set epochs=2"]),
        ("sweep sweep.yaml", ["sweep sweep.yaml", "report --found"]),
    ],
)
def test_with_a_lab_file_they_lead_to_the_answer_of_its_question(folder: Any, first: str, commands: list[str]) -> None:
    folder.write("lab.yaml", LAB)
    given, last = walk(folder, *first.split())
    assert given == commands
    assert has_verdict(last)
    if not first.startswith("sweep"):
        assert "(q1.png)" in last


def test_the_results_folder_and_the_lab_file_are_in_the_next_command(folder: Any) -> None:
    folder.write("mine/lab.yaml", LAB.replace("[adam", "[../adam").replace("control: base", "control: ../base"))
    done = folder("run", "--question", "q1", "--lab", "mine/lab.yaml", "--results", "out", "--seeds", "0-2")
    assert following(done) == ["report", "--lab", "mine/lab.yaml", "--results", "out"]


def test_a_run_that_diverges_still_leads_to_the_report(folder: Any) -> None:
    folder.write("wild.yaml", "extends: base.yaml\noptimizer: {lr: 1.0e+30}\n")
    folder("run", "base.yaml")
    done = folder("run", "wild.yaml")
    assert done.lines[-1] == "next: cifar-lab report"


def test_a_page_with_answers_is_not_replaced_by_one_without(folder: Any) -> None:
    folder("run", "base.yaml", "adam.yaml")
    folder("report")
    before = folder.listing()
    folder.write("other/lab.yaml", LAB.replace("[adam", "[../two").replace("control: base", "control: ../base"))
    done = folder("report", "--lab", "other/lab.yaml")
    assert done.code == 0
    assert done.lines[-1].startswith("kept, because this report has no answers and the existing one has: ")
    changed = {name for name, state in folder.listing().items() if before.get(name) != state}
    assert not any(name.startswith(str(folder.results)) for name in changed)


def test_report_finds_lab_yaml(folder: Any) -> None:
    folder.write("lab.yaml", LAB)
    folder("run", "base.yaml", "adam.yaml")
    assert any(line.startswith("  base ") and line.endswith("(q1.png)") for line in folder("report").lines)


def test_a_second_arm_of_one_label_is_told_apart(folder: Any) -> None:
    folder("run", "base.yaml")
    folder("run", "base.yaml", "--set", "epochs=2")
    labels = [line.split("  ")[0] for line in folder("list", "--arms").lines[1:]]
    assert sorted(labels) == ["base", "base (epochs=2)"]
