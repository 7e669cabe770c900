"""Screens of 80 and 60 columns, with and without colour."""

from __future__ import annotations

import re

import pytest
from rich.cells import cell_len

from ..compatibility.commands import Lab

CODES = re.compile(r"\x1b\[([0-9;]*)m")
COLOURS = re.compile(r"(^|;)([349][0-7]|10[0-7])(;|$)")

SCREENS = (
    "list",
    "list --arms",
    "show 13747b80a8ccfdc5",
    "show wild",
    "show grid",
    "compare Adam control",
    "compare grid halving --details",
    "compare 13747b80a8ccfdc5 6bec6d09b0ae94b4 --details",
    "plan --question optimizer",
    "run adam.yaml baseline.yaml",
    "diff 13747b80a8ccfdc5 6bec6d09b0ae94b4",
    "rm Adam --dry-run",
    "gc --dry-run",
    "claims",
    "list --filter 'accuracy>0.1 and not tag=old'",
)

COPIED = ("next: ", "to decide: ", "    to run: ", "  name: ")
"""Lines that are copied whole, however long: commands and paths."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    made = Lab.copied(tmp_path_factory.mktemp("screens") / "lab")
    claims = (
        "better_than: baseline.yaml, by_at_least: 1",
        "accuracy_at_least: 0.01",
        "equal_to: baseline.yaml, within: 50",
    )
    lines = [f"  claim{number}: {{arm: adam.yaml, {words}}}\n" for number, words in enumerate(claims)]
    (made.folder / "claims.yaml").write_text(f"claims:\n{''.join(lines)}")
    made.give("tag 13747b80a8ccfdc5 best paper")
    made.give("note 13747b80a8ccfdc5 'the run that the second figure of the paper shows'")
    return made


def screen(lab: Lab, line: str, **variables: str) -> str:
    said = lab.give(line, **{"FORCE_COLOR": "1", "TERM": "xterm-256color", **variables})
    assert said.code == 0, said.err
    return said.out


@pytest.mark.parametrize("line", SCREENS)
@pytest.mark.parametrize("width", [80, 60])
def test_every_line_fits_and_no_word_is_cut(lab: Lab, line: str, width: int) -> None:
    said = CODES.sub("", screen(lab, line, COLUMNS=str(width)))
    for row in said.splitlines():
        assert cell_len(row) <= width or row.startswith(COPIED), row
    wide = CODES.sub("", screen(lab, line, COLUMNS="400"))
    words = set(wide.split())
    assert {word for word in said.split() if "…" in word and word not in words} == set()


@pytest.mark.parametrize("line", SCREENS)
def test_colour_carries_no_meaning_and_no_color_takes_it_away(lab: Lab, line: str) -> None:
    coloured = screen(lab, line, COLUMNS="80")
    bare = screen(lab, line, COLUMNS="80", NO_COLOR="1")
    assert CODES.sub("", coloured) == CODES.sub("", bare)
    assert not any(COLOURS.search(code) for code in CODES.findall(bare))


def test_outside_a_terminal_there_is_no_code_at_all(lab: Lab) -> None:
    for line in SCREENS:
        assert "\x1b" not in lab.give(line).out


def test_a_plus_minus_always_says_what_it_is(lab: Lab) -> None:
    for line in SCREENS:
        lines = lab.give(line).out.splitlines()
        if any("±" in each for each in lines):
            assert any("± 95 % interval" in each or "std" in each for each in lines), line
