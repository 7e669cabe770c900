"""README and docs: every link leads somewhere, every command shown exists and names files that are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cifar_lab.cli import app

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
COMMANDS = {command.name for command in app.registered_commands}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    headings = {re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in text.splitlines()}
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif "://" not in target:
            assert (page.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist_and_name_files_that_do(page: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("cifar-lab ")]
    for line in lines:
        words = shlex.split(line, comments=True)
        assert words[1] in COMMANDS, line
        for word in words[2:]:
            if word.startswith("configs/"):
                assert list(ROOT.glob(word)), line


def test_the_commands_for_a_newcomer_are_marked() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, last in (("quickstart", "cifar-lab quickstart"), ("tests", 'pytest -n auto -m "not slow"')):
        (command,) = re.findall(rf"<!-- command: {name} -->\n```sh\n(.*)\n```", text)
        assert command.startswith("python3 -m venv .venv && ")
        assert command.endswith(last)
