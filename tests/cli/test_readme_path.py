"""The path from the README to an answer: a fresh environment, an empty folder, and the commands as they are printed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import cifar_lab
from cifar_lab.config import Cifar10, Synthetic
from cifar_lab.data import prepare
from cifar_lab.data.cifar import CifarSource
from cifar_lab.data.splits import Images, Progress
from cifar_lab.data.synthetic import SyntheticSource

SOURCE = Path(cifar_lab.__file__).parents[1]
README = SOURCE.parent / "README.md"
MOST_COMMANDS = 5


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """`cifar-lab` of a fresh environment, to which this checkout and the packages of this environment are lent.

    pip would fetch its build tools from a network. `.ci/build` installs the wheel.
    """
    home = tmp_path / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    (packages,) = home.glob("lib/python3*/site-packages")
    lent = [str(SOURCE), *(path for path in sys.path if path.endswith("site-packages"))]
    (packages / "lent.pth").write_text("\n".join(lent) + "\n", encoding="utf-8")
    script = home / "bin" / "cifar-lab"
    script.write_text(f"#!{home}/bin/python\nfrom cifar_lab.cli import main\n\nmain()\n", encoding="utf-8")
    script.chmod(0o755)
    return script


@pytest.fixture
def small_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Cache in which a small generated data set stands for CIFAR-10, so that nothing is downloaded."""

    def read(self: CifarSource, progress: Progress) -> Images:
        return SyntheticSource(Synthetic(dataset="synthetic", train_size=1500, test_size=400)).read(progress)

    cache = tmp_path / "cache"
    with monkeypatch.context() as patch:
        patch.setenv("CIFAR_LAB_CACHE", str(cache))
        patch.setattr(CifarSource, "read", read)
        prepare(Cifar10())
    return cache


@pytest.mark.slow
def test_from_the_readme_to_an_answer(program: Path, small_cifar10: Path, tmp_path: Path) -> None:
    (first,) = re.findall(r"<!-- command: quickstart -->\n```sh\n(.*)\n```", README.read_text(encoding="utf-8"))
    command, folder = first.rpartition("&& .venv/bin/")[2], tmp_path / "empty"
    folder.mkdir()
    given: list[str] = []
    while command and len(given) < MOST_COMMANDS:
        given.append(command)
        said = _give(command, program, folder, small_cifar10)
        command = next((line.removeprefix("next: ") for line in said.splitlines() if line.startswith("next: ")), "")
    assert given == [
        "cifar-lab quickstart",
        "cifar-lab run configs/baseline.yaml configs/q3_adam.yaml",
        "cifar-lab report",
    ]
    assert re.search(
        r"Adam is (better|worse) than baseline by [0-9.]+ pp|Undecided: Adam is|Adam and baseline are", said
    )
    assert "found in the folder, not asked beforehand" in said
    assert (folder / "results" / "report.html").is_file()


def _give(command: str, program: Path, folder: Path, cache: Path) -> str:
    """Standard output of a command that must end well."""
    name, *words = shlex.split(command)
    assert name == "cifar-lab"
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [program, *words], cwd=folder, env={**environment, "CIFAR_LAB_CACHE": str(cache), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
