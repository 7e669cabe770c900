"""Every command says of an old results folder what the version that made it said; see `texts` for changed sentences."""

from __future__ import annotations

import pytest

from .cases import READING, REPEATED, Case
from .commands import Lab
from .texts import EXPECTED, damage_texts, help_text, report_texts, text_of


def expected(name: str) -> str:
    return (EXPECTED / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("case", READING, ids=lambda case: case.name)
def test_a_command_that_reads_says_the_same(case: Case, old: Lab) -> None:
    assert text_of(case, old.give(case.line)) == expected(f"{case.name}.txt")


@pytest.mark.parametrize("case", REPEATED, ids=lambda case: case.name)
def test_a_command_that_is_repeated_says_the_same(case: Case, copy: Lab) -> None:
    assert text_of(case, copy.give(case.line)) == expected(f"{case.name}.txt")


def test_a_report_says_the_same(copy: Lab) -> None:
    texts = report_texts(copy)
    for name, text in texts.items():
        assert text == expected(name), name


def test_verify_and_list_say_the_same_of_damage(copy: Lab) -> None:
    for name, text in damage_texts(copy).items():
        assert text == expected(name), name


def test_help_says_the_same() -> None:
    assert help_text() == expected("help.txt")


def test_every_expected_text_is_compared() -> None:
    names = {f"{case.name}.txt" for case in (*READING, *REPEATED)}
    others = {path.name for path in EXPECTED.iterdir()} - names
    assert {name.partition(".")[0].partition("_")[0] for name in others} == {
        "answers",
        "help",
        "list",
        "report",
        "verify",
    }
