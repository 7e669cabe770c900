"""The next step of each command: what leads on to an answer names it, and the program accepts it as written."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from cifar_lab.cli import app

from .conftest import Lab
from .test_next_step import ADAM, LAB, SWEEP, THREE, TWO_FACTORS

pytestmark = pytest.mark.slow

CLAIMS = "claims: {early: {arm: two.yaml, better_than: base.yaml}}\n"

NAMES_ONE: dict[str, dict[str, str]] = {
    "quickstart": {"quickstart": "run"},
    "init": {"init new": "run"},
    "check": {"check adam.yaml": "run", "check sweep.yaml": "sweep", "check lab.yaml": "plan"},
    "plan": {"plan --question q1": "report", "plan base.yaml adam.yaml": "run"},
    "run": {
        "run base.yaml --dry-run": "run", "run base.yaml adam.yaml": "report", "run --question q1": "report",
        "run base.yaml adam.yaml --json": "report",
    },
    "sweep": {"sweep sweep.yaml --dry-run": "sweep", "sweep sweep.yaml": "report"},
    "attack": {
        "attack base.yaml --set images=20 --set steps=1 --dry-run": "attack",
        "attack adam.yaml base.yaml --attack fgsm --set images=20": "report",
        "attack adam.yaml --attack fgsm --set images=20 --json": "report",
    },
    "claims": {"claims": "run", "claims --json": "run"},
    "pack": {"pack --out lab.zip": "unpack"},
    "unpack": {"unpack lab.zip other": "report"},
    "rm": {"rm adam.yaml --dry-run": "rm"},
    "gc": {"gc --dry-run": "gc"},
}  # fmt: skip
"""Command → examples, each with the command that follows it."""

NAMES_NONE = {
    "report": "it is the answer, and lists the commands of what is missing",
    "compare": "it is the answer, and lists the command that decides it",
    "diff": "it is the answer",
    "list": "it shows what there is",
    "show": "it shows what there is",
    "note": "it adds to a run",
    "tag": "it adds to a run",
    "predict": "its files are the result",
    "export": "its file is the result",
    "verify": "it names a command per damaged file",
    "schema": "its output is for an editor",
}
"""Command → reason for no next step."""

GROUP: Any = get_command(app)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Lab:
    """A lab with a question, a claim that is undecided, and a leftover file, in the order of the examples."""
    lab = Lab(tmp_path_factory.mktemp("next") / "lab", shared_cache)
    files = {
        "base.yaml": THREE, "adam.yaml": ADAM, "two.yaml": TWO_FACTORS, "sweep.yaml": SWEEP, "lab.yaml": LAB,
        "claims.yaml": CLAIMS,
    }  # fmt: skip
    for name, text in files.items():
        lab.write(name, text)
    assert lab("run", "base.yaml", "adam.yaml").code == 0
    os.utime(lab.write("results/.report.md.77.tmp", "half"), (0, 0))
    return lab


def test_each_command_is_named_here() -> None:
    assert sorted([*NAMES_ONE, *NAMES_NONE]) == sorted(GROUP.commands)


@pytest.mark.parametrize(
    ("line", "following"), [pair for examples in NAMES_ONE.values() for pair in examples.items()], ids=str
)
def test_it_names_a_command_that_the_program_accepts(trained: Lab, line: str, following: str) -> None:
    done = trained(*shlex.split(line))
    assert done.code == 0, done.err
    command = next_command(done.out)
    assert command is not None, done.out
    assert command[0] == following
    context = GROUP.commands[following].make_context(following, command[1:])  # as the program reads it
    files = [value for value in context.params.values() if isinstance(value, Path) and value.suffix == ".yaml"]
    assert all((trained.folder / file).is_file() for file in files)


def next_command(out: str) -> list[str] | None:
    """Words of the first next command after the program. None without one."""
    found = re.search(
        r'(?:^|")(?:# )?(?:next|to open)(?:: |": ")(?:cd \S+ && )?(cifar-lab .*?)"?,?$', out, re.MULTILINE
    )
    return None if found is None else shlex.split(found[1])[1:]
