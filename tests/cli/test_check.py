"""`cifar-lab check` and `schema`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

CONFIGS = Path(__file__).parents[2] / "configs"

SWEEP = "base: tiny.yaml\nsearch: {top: 1, val_size: 50}\nspace:\n  optimizer.lr: [0.01, 0.02]\n"
SHEET = """\
title: A lab
control: tiny.yaml
questions:
  q1: {title: 'One?', arms: [one.yaml, two.yaml], chart: q1.png}
  q2: {title: 'Two?', sweep: grid.yaml, chart: q2.png}
"""


@pytest.fixture
def sheets(lab: Any) -> Any:
    lab.write("one.yaml", "extends: tiny.yaml\nlabel: one\nepochs: 2\n")
    lab.write("two.yaml", "extends: tiny.yaml\nlabel: two\nepochs: 3\n")
    lab.write("grid.yaml", SWEEP)
    lab.write("sheet.yaml", SHEET)
    return lab


def test_check_prints_settings_that_load_as_the_same(sheets: Any) -> None:
    before = sheets.listing()
    done = sheets("check", "one.yaml", "--set", "optimizer.lr=0.3", "--seeds", "4-6")
    assert (done.code, done.err) == (0, "")
    assert done.lines[0] == "# one.yaml: valid; resolved settings:"
    values = yaml.safe_load(done.out)
    assert (values["label"], values["epochs"], values["optimizer"]["lr"], values["seeds"]) == ("one", 2, 0.3, [4, 5, 6])
    assert sheets.listing() == before
    sheets.write("again.yaml", done.out)
    assert done.lines[-1] == "# next: cifar-lab run tiny.yaml one.yaml --set optimizer.lr=0.3 --seeds 4-6"
    assert sheets("check", "again.yaml").lines[1:-1] == done.lines[1:-1]


def test_check_of_sheets_and_sweeps(sheets: Any) -> None:
    done = sheets("check", "sheet.yaml", "grid.yaml")
    assert (done.code, done.err) == (0, "")
    assert done.lines == [
        "# sheet.yaml: lab file with 2 questions and 2 arms, all valid",
        "---",
        "# grid.yaml: sweep file with 2 points, all valid",
        "# next: cifar-lab plan --lab sheet.yaml",
    ]
    sheets.write("tpe.yaml", SWEEP.replace("{top: 1,", "{method: tpe, trials: 1, top: 1,"))
    assert sheets("check", "tpe.yaml").lines == [
        "# tpe.yaml: sweep file with 1 proposal of tpe, all valid",
        "# next: cifar-lab sweep tpe.yaml",
    ]


def test_check_finds_the_problems_of_everything_that_a_sheet_names(sheets: Any) -> None:
    sheets.write("one.yaml", "extends: tiny.yaml\nepochs: 0\n")
    sheets.write("two.yaml", "extends: tiny.yaml\nlost: {}\nseeds: [1, 1]\n")
    sheets.write("grid.yaml", SWEEP.replace("lr", "rl"))
    done = sheets("check", "sheet.yaml", "one.yaml")
    told = [line.removeprefix("cifar-lab: ").removeprefix(f"{sheets.folder}/") for line in done.err.splitlines()]
    assert (done.code, done.out) == (2, "")
    assert [line.partition(": ")[2].partition(":")[0] for line in told[:4]] == [
        "epochs", "lost", "seeds", "space.optimizer.rl",
    ]  # fmt: skip
    assert told[0].startswith("one.yaml:2: ")
    assert told[3].endswith("did you mean optimizer.lr?")


def test_check_of_a_model_that_is_not_there(lab: Any) -> None:
    done = lab("check", "tiny.yaml", "--set", "model.name=none.py:A")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"cifar-lab: model.name: no file {lab.folder}/none.py; ")


@pytest.mark.slow
def test_every_shipped_file_is_good(lab: Any) -> None:
    files = sorted(CONFIGS.glob("*.yaml"))
    done = lab("check", *files)
    assert (done.code, done.err) == (0, "")
    assert done.out.count(": valid; resolved settings:") + done.out.count(", all valid") == len(files) >= 16


# --- schema ---


def schema(lab: Any, kind: str) -> dict[str, Any]:
    done = lab("schema", kind)
    assert (done.code, done.err) == (0, "")
    found: dict[str, Any] = json.loads(done.out)
    return found


def validator(lab: Any, kind: str) -> Any:
    found = schema(lab, kind)
    kind_of = jsonschema.validators.validator_for(found)
    kind_of.check_schema(found)
    return kind_of(found)


@pytest.mark.slow
def test_the_schema_is_json_and_of_settings_unless_asked_otherwise(lab: Any) -> None:
    found = schema(lab, "settings")
    assert json.loads(lab("schema").out) == found
    assert {"label", "data", "model", "optimizer", "scheduler", "loss", "epochs", "seeds", "runtime"} <= set(
        found["properties"]
    )


@pytest.mark.slow
def test_the_schema_goes_into_a_file(lab: Any) -> None:
    done = lab("schema", "lab", "--output", "schema.json")
    assert (done.code, done.out) == (0, "wrote schema.json\n")
    assert json.loads((lab.folder / "schema.json").read_text()) == schema(lab, "lab")
    refused = lab("schema", "-o", "no folder/schema.json")
    assert refused.code == 4
    assert refused.err.startswith("cifar-lab: no folder/schema.json: cannot be written (No such file or directory)")


@pytest.mark.slow
def test_the_schemas_accept_every_shipped_file(lab: Any) -> None:
    kinds = dict.fromkeys([*(path.name for path in CONFIGS.glob("q8_*.yaml")), "q3_tuned.yaml"], "sweep")
    kinds |= {"lab.yaml": "lab", "lab_tuned.yaml": "lab"}
    validators = {kind: validator(lab, kind) for kind in ("settings", "lab", "sweep")}
    for path in CONFIGS.glob("*.yaml"):
        errors = [
            error.message
            for error in validators[kinds.get(path.name, "settings")].iter_errors(
                yaml.safe_load(path.read_text(encoding="utf-8"))
            )
        ]
        assert errors == [], path.name


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("settings", {"epoch": 3}),
        ("settings", {"epochs": 0}),
        ("settings", {"optimizer": {"name": "adam", "momentum": 0.9}}),
        ("settings", {"model": {"name": "Nett"}}),
        ("lab", {"title": "no questions", "control": "a.yaml"}),
        ("sweep", {"base": "a.yaml", "space": {"optimizer.lr": []}}),
    ],
)
def test_the_schemas_refuse_what_the_program_refuses(lab: Any, kind: str, values: dict[str, Any]) -> None:
    assert not validator(lab, kind).is_valid(values)
