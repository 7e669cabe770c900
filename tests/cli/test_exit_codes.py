"""Exit codes: declared once, and the same in every command."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
import sys
from pathlib import Path

import pytest
from typer.main import get_command

import cifar_lab
from cifar_lab.cli import app
from cifar_lab.core import extras
from cifar_lab.core.errors import PRECEDENCE, ExitCode, Interrupted, LabError, Paused, TimeLimit, error_of, exit_code_of

from ..compatibility.commands import Lab
from ..faults.reliability import exit_code_table

ROOT = Path(__file__).parents[2]

READERS = {
    "list": "list", "show": "show 0123", "verify": "verify", "report": "report --lab lab.yaml",
    "report --check": "report --lab lab.yaml --check", "compare": "compare a b",
    "sweep --export-optuna": "sweep sweep.yaml --export-optuna x.db",
    "rm": "rm 0123", "gc": "gc", "note": "note 0123 text", "tag": "tag 0123 best", "diff": "diff 0123 4567",
    "claims": "claims claims.yaml", "pack": "pack",
    "attack": "attack 0123", "predict": "predict 0123 cat.png", "export": "export 0123 --format safetensors",
}  # fmt: skip
"""Commands that read a results folder and make none."""

MAKERS = {
    "run": "run arm.yaml --dry-run", "sweep": "sweep sweep.yaml --dry-run", "plan": "plan arm.yaml",
    "quickstart": "quickstart",
}  # fmt: skip
"""Commands whose results folder may be missing."""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    (tmp_path / "arm.yaml").write_text("data: {dataset: synthetic}\n")
    (tmp_path / "sweep.yaml").write_text("base: arm.yaml\nspace: {data.flip: [false, true]}\n")
    question = "questions:\n  q:\n    title: t\n    arms: [arm.yaml]\n    chart: q.png\n"
    (tmp_path / "claims.yaml").write_text("claims: {c: {arm: arm.yaml, accuracy_at_least: 0.5}}\n")
    (tmp_path / "lab.yaml").write_text(f"title: t\ncontrol: arm.yaml\n{question}")
    return Lab(tmp_path)


def every_error() -> set[type[LabError]]:
    """Every exception class of the package that is shown to users."""
    for module in pkgutil.walk_packages(cifar_lab.__path__, "cifar_lab."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, waiting = set(), [LabError]
    while waiting:
        found.add(cls := waiting.pop())
        waiting += cls.__subclasses__()
    return {cls for cls in found if cls.__module__.startswith("cifar_lab")}


def test_every_error_class_has_a_declared_code() -> None:
    classes = every_error()
    assert {"DamagedRecordError", "DamagedFileError", "MissingResultsError", "TimeLimit"} <= {
        c.__name__ for c in classes
    }
    for cls in classes - {Interrupted, TimeLimit, Paused}:
        assert cls.exit_code in set(ExitCode), cls
    assert TimeLimit("").exit_code == ExitCode.TIME_LIMIT
    assert [Interrupted("", signum).exit_code for signum in (2, 15)] == [ExitCode.INTERRUPTED, ExitCode.TERMINATED]


def test_of_several_codes_the_first_of_the_order_counts() -> None:
    assert sorted(PRECEDENCE) == sorted(ExitCode)
    assert exit_code_of([]) == 0
    for codes in itertools.permutations([4, 3, 1, 5, 0]):
        held = list(codes)
        for expected in (4, 3, 1, 5, 0):
            assert exit_code_of(held) == expected
            held.remove(expected)
    for code in ExitCode:
        assert exit_code_of([code]) == code
    assert exit_code_of([129, 3]) == 129


@pytest.mark.parametrize("code", [1, 2, 3, 4, 6])
def test_an_error_of_a_worker_keeps_its_code(code: int) -> None:
    assert error_of(code, "why").exit_code == code


def test_every_command_is_a_reader_or_a_maker_or_has_no_results() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    named = {line.split()[0] for line in (*READERS.values(), *MAKERS.values())}
    assert {name for name, each in commands.items() if any("--results" in p.opts for p in each.params)} == named


@pytest.mark.parametrize("line", READERS.values(), ids=READERS)
def test_a_results_folder_that_is_not_there_is_2_and_is_not_made(lab: Lab, line: str) -> None:
    before = sorted(lab.folder.rglob("*"))
    said = lab.give(f"{line} --results none")
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        "cifar-lab: none: no such results folder; give another with --results, or create it: cifar-lab run FILE "
        "--results none\n"
    )
    assert sorted(lab.folder.rglob("*")) == before


@pytest.mark.parametrize("line", [*READERS.values(), *MAKERS.values()], ids=[*READERS, *MAKERS])
@pytest.mark.parametrize("name", ["''", "' '"])
def test_a_results_folder_without_a_name_is_2(lab: Lab, line: str, name: str) -> None:
    before = sorted(lab.folder.rglob("*"))
    said = lab.give(f"{line} --results {name}")
    assert (said.code, said.out) == (2, "")
    assert said.err == "cifar-lab: --results: the name is empty; give a folder, such as --results results\n"
    assert sorted(lab.folder.rglob("*")) == before


NEEDS = {
    "ray": "run arm.yaml --engine ray",
    "tensorboard": "run arm.yaml --mirror tensorboard",
    "mlflow": "run arm.yaml --mirror mlflow",
    "optuna": "sweep tpe.yaml",
    "wandb": "run arm.yaml --mirror wandb",
    "onnx": "export 0123 --format onnx",
    "attacks": "attack 0123 --attack autoattack",
    "timm": "check arm.yaml --set model.name=timm:resnet10t",
}


def test_every_extra_of_a_command_is_declared() -> None:
    assert {*NEEDS, "pandas"} == set(extras.EXTRAS)  # only `to_frame` of the package needs pandas


@pytest.mark.parametrize("extra", NEEDS)
@pytest.mark.parametrize("checkout", [True, False])
def test_a_missing_extra_is_6_and_names_a_command_that_works(
    lab: Lab, extra: extras.ExtraName, checkout: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in extras.EXTRAS[extra].modules:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(extras, "_checkout", lambda: Path("/a lab") if checkout else None)
    (lab.folder / "tpe.yaml").write_text(
        "base: arm.yaml\nsearch: {method: tpe, trials: 4}\nspace: {optimizer.lr: {min: 0.1, max: 1}}\n"
    )
    said = lab.give(NEEDS[extra])
    assert (said.code, said.out) == (6, "")
    place = "cd '/a lab' && " if checkout else "in a checkout of cifar-lab: "
    assert said.err.endswith(f"is not installed; to install it: {place}pip install '.[{extra}]'\n")
    assert not lab.results.exists()


def test_an_extra_is_named_as_in_the_project_file() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(f"\n{name} = [" in text for name in extras.EXTRAS)


@pytest.mark.parametrize("page", ["README.md", "docs/reliability.md"])
def test_the_documents_have_the_table(page: str) -> None:
    assert exit_code_table() in (ROOT / page).read_text(encoding="utf-8")
