"""`--json`: one document on standard output, of the same rows as the tables, with unrounded numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ..compatibility.commands import Lab

KEYS = {
    "list": {"results", "runs"},
    "list --arms": {"results", "arms", "runs_without_record"},
    "show 13747b80a8ccfdc5": {
        "run_id", "folder", "label", "seed", "status", "data", "parameters", "train_seconds", "finished", "environment",
        "settings", "epochs", "test", "validation", "classes",
    },
    "show Adam": {"arms", "runs", "settings"},
    "show grid": {"arms", "runs", "settings", "sentences"},
    "compare Adam control": {"sentences", "comparison", "details", "arms", "settings_that_differ"},
    "compare 13747b80a8ccfdc5 6bec6d09b0ae94b4": {"sentences", "models", "details", "arms", "settings_that_differ"},
    "plan --question optimizer": {"questions", "next"},
    "check adam.yaml lab.yaml grid.yaml": {"files", "next"},
    "run adam.yaml --dry-run": {"runs", "next"},
    "run adam.yaml baseline.yaml": {"arms", "failed", "next"},
}  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab.copied(tmp_path_factory.mktemp("json") / "lab")


def document(lab: Lab, line: str) -> dict[str, Any]:
    said = lab.give(f"{line} --json")
    assert said.code == 0, said.err
    assert "\x1b" not in said.out
    found = json.loads(said.out)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("line", KEYS)
def test_a_command_prints_one_document_with_known_keys(lab: Lab, line: str) -> None:
    found = document(lab, line)
    assert (found["schema"], found["command"]) == (1, line.split()[0])
    missing, further = KEYS[line] - set(found), set(found) - KEYS[line] - {"schema", "command", "notes"}
    assert (missing, further) == (set(), set())


def test_numbers_are_those_of_the_records(lab: Lab) -> None:
    record = json.loads((lab.run("13747b80a8ccfdc5") / "record.json").read_bytes())
    (listed,) = (run for run in document(lab, "list")["runs"] if run["run_id"] == record["run_id"])
    assert listed["test_accuracy"] == record["test"]["accuracy"]
    assert listed["train_seconds"] == record["train_seconds"]
    shown = document(lab, f"show {record['run_id']}")
    assert shown["test"]["loss"] == record["test"]["loss"]
    assert [line["epoch"] for line in shown["epochs"]] == list(range(1, record["epochs_trained"] + 1))


def test_an_arm_is_as_in_answers_json(lab: Lab) -> None:
    assert lab.give("report --lab lab.yaml --format json").code in (0, 3)
    answers = json.loads((lab.results / "answers.json").read_bytes())
    (reported,) = (arm for each in answers["questions"] for arm in each["arms"] if arm["label"] == "Adam")
    (compared, _) = document(lab, "compare Adam control")["arms"]
    assert compared.keys() == reported.keys()
    assert (compared["mean"], compared["runs"]) == (reported["mean"], reported["runs"])


def test_an_error_leaves_standard_output_empty(lab: Lab) -> None:
    for line in ("show nothing", "compare Adam nothing", "check nothing.yaml", "run nothing.yaml", "list --filter x=1"):
        said = lab.give(f"{line} --json")
        assert (said.code, said.out) == (2, ""), line


def test_show_and_compare_take_the_same_names(lab: Lab, tmp_path: Path) -> None:
    for name in ("Adam", "adam.yaml", "grid", "grid.yaml", "halving.yaml", "13747b80"):
        assert lab.give(f"show {name}").code == 0, name
        assert lab.give(f"compare {name} control").code == 0, name
    shown, compared = lab.give("show nothing"), lab.give("compare nothing control")
    assert shown.err == compared.err
    assert shown.err.startswith("cifar-lab: no run id starts with 'nothing', and no settings file, label or sweep")
