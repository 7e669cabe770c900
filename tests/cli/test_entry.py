"""The entry point: help, version, usage, errors, and outputs that go away."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cifar_lab

COMMANDS = (
    "run", "sweep", "plan", "report", "compare", "list", "show", "verify", "check", "schema", "quickstart", "attack",
)  # fmt: skip


def imports_torch(lab: Any, *arguments: str) -> bool:
    """Whether the command imports torch in its own process."""
    code = (
        "import sys\nfrom cifar_lab.cli import main\nsys.argv = ['cifar-lab', *sys.argv[1:]]\n"
        "try: main()\nfinally: print(sorted(sys.modules.keys() & {'torch', 'torchvision'}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=lab.folder, env=lab.environment, capture_output=True, text=True
    )
    return bool(ast.literal_eval(done.stderr.splitlines()[-1]))


def test_help_is_there_at_once_and_names_every_command(lab: Any) -> None:
    shown = [lab("--help") for _ in range(5)]
    assert {done.code for done in shown} == {0}
    for command in COMMANDS:
        assert f" {command} " in shown[0].out
    assert min(done.processor_seconds for done in shown) < 0.4
    assert not imports_torch(lab, "--help")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help(lab: Any, command: str) -> None:
    done = lab(command, "--help")
    assert (done.code, done.err) == (0, "")
    assert f"cifar_lab {command} " in done.out


def test_version(lab: Any) -> None:
    done = lab("--version")
    assert (done.code, done.out, done.err) == (0, f"cifar-lab {cifar_lab.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], "No such command 'trian'"),
        (["run"], "cifar-lab: run: nothing to run; name settings files, --question NAME or --all"),
        (["run", "tiny.yaml", "--worker", "2"], "No such option"),
        (["run", "tiny.yaml", "--workers", "0"], "greater than or equal to 1"),
        (["schema", "wrong"], "cifar-lab: schema: 'wrong' is not one of: settings, lab, sweep"),
    ],
)
def test_wrong_usage_is_2(lab: Any, arguments: list[str], said: str) -> None:
    before = lab.listing()
    done = lab(*arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "Traceback" not in done.err
    assert lab.listing() == before


@pytest.mark.slow
def test_debug_shows_the_traceback_and_nothing_else_does(lab: Any) -> None:
    plain = lab("run", "none.yaml")
    assert (plain.code, plain.err) == (2, "cifar-lab: no file none.yaml — did you mean tiny.yaml?\n")
    for arguments in (["--debug", "run", "none.yaml"], ["run", "none.yaml", "--debug"]):
        told = lab(*arguments)
        assert told.code == 2
        assert told.err.startswith("Traceback (most recent call last):")
        assert "cifar_lab.core.errors.SettingsError: no file none.yaml" in told.err


def test_an_unforeseen_error_is_two_lines_and_says_where(lab: Any) -> None:
    code = (
        "import sys, cifar_lab.cli as cli\n"
        "def broken(*a, **k): raise KeyError('a surprise')\n"
        "import cifar_lab.cli.inspect_output as looking\n"
        "looking.print_list = broken\n"
        "sys.argv = ['cifar-lab', 'list']\n"
        "cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=lab.folder, capture_output=True, text=True)
    first, second = done.stderr.splitlines()
    assert done.returncode == 1
    assert first == "cifar-lab: unforeseen KeyError: 'a surprise' (<string>:2)"
    assert second == (
        "cifar-lab: this is a bug in cifar-lab: run the same command with --debug to see where, and please report it"
    )


# --- outputs that go away ---


def shell(lab: Any, line: str) -> subprocess.CompletedProcess[str]:
    command = f'lab() {{ "{sys.executable}" -m cifar_lab "$@"; }}; {line}'
    return subprocess.run(
        ["bash", "-c", command], cwd=lab.folder, env=lab.environment, capture_output=True, text=True, timeout=60
    )


def progress_of(command: str) -> str:
    """Progress of a command whose runs are done."""
    return "2 runs: 2 already done\n" if command.startswith("run") else ""


@pytest.mark.parametrize("command", ["list", "schema", "show {}", "check tiny.yaml", "run tiny.yaml"])
def test_a_reader_that_goes_away_is_no_error(trained: Any, command: str) -> None:
    run = next(path.name for path in (trained.lab.results / "runs").iterdir())
    done = shell(trained.lab, f"lab {command.format(run)} | true; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (0, progress_of(command))


def test_a_reader_of_the_help_that_goes_away_is_told_nothing(lab: Any) -> None:
    assert shell(lab, "lab --help | true").stderr == ""


@pytest.mark.slow
def test_work_goes_on_when_its_reader_goes_away(lab: Any) -> None:
    done = shell(lab, "lab run tiny.yaml --seeds 0 | true; exit ${PIPESTATUS[0]}")
    assert (done.returncode, "cifar-lab:" in done.stderr) == (0, False)
    assert len(list(lab.results.glob("runs/*/record.json"))) == 1


@pytest.mark.parametrize("command", ["list", "schema", "run tiny.yaml", "--help", "--version"])
def test_a_closed_output_is_no_error(trained: Any, command: str) -> None:
    done = shell(trained.lab, f"lab {command} >&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", progress_of(command))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("command", ["list", "schema", "check tiny.yaml"])
def test_an_output_that_is_full_is_4(trained: Any, command: str) -> None:
    done = shell(trained.lab, f"lab {command} > /dev/full")
    assert (done.returncode, done.stderr) == (
        4,
        "cifar-lab: a file or the standard output: No space left on device; fix this, then run the same command "
        "again\n",
    )
