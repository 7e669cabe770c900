"""Shell completion: what is offered, and that it imports no torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cifar_lab.cli import completion
from cifar_lab.config.io.load import load_settings

from ..compatibility.commands import Lab

COMPLETE = "import sys; sys.argv = ['cifar-lab']; from cifar_lab.cli import main\n"
REPORT = "import atexit, json; atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr))\n"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab.copied(tmp_path_factory.mktemp("completion") / "lab")


def complete(lab: Lab, words: str) -> list[str]:
    """Words that bash is offered after these, the last of them not finished."""
    last = str(len(words.split(" ")) - 1)
    done = subprocess.run(
        [sys.executable, "-c", f"{COMPLETE}{REPORT}main()"], cwd=lab.folder, capture_output=True, text=True,
        env={**os.environ, "_CIFAR_LAB_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": last},
        check=False,
    )  # fmt: skip
    assert done.stderr == "False\n"
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("cifar-lab run --question ", ["optimizer", "augmented", "smooth", "trouble", "grid", "halving"]),
        ("cifar-lab run --set optimizer.m", ["optimizer.momentum="]),
        ("cifar-lab run --set optimizer.name = adam", ["adam", "adamw", "adamax"]),
        ("cifar-lab run --device c", ["cpu", "cuda"]),
        ("cifar-lab compare Adam gri", ["grid", "grid.yaml"]),
        ("cifar-lab show 13747", ["13747b80a8ccfdc5"]),
        ("cifar-lab show contr", ["control"]),
        ("cifar-lab sweep ha", ["halving.yaml"]),
        ("cifar-lab list --filter stat", ["status="]),
    ],
)
def test_what_is_there_is_offered(lab: Lab, words: str, offered: list[str]) -> None:
    assert complete(lab, words) == offered


def test_every_value_that_is_offered_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("epochs: 1\n")
    offered = [word for key in completion.complete_setting("") for word in completion.complete_setting(key)]
    assert len(offered) > 25
    for word in offered:
        if word.startswith(("optimizer.name=", "runtime.device=", "runtime.kernels=")):
            load_settings(path, [word])


def test_a_broken_folder_offers_nothing_and_prints_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab.yaml").write_text("questions: [\n")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "runs").write_text(json.dumps({}))

    class Context:
        params = {"lab": None, "results": None}  # noqa: RUF012

    assert completion.complete_question(Context(), "") == []  # type: ignore[arg-type]
    assert completion.complete_name(Context(), "no") == []  # type: ignore[arg-type]
    assert capsys.readouterr().err == ""
