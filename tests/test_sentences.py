"""Sentences that the program can print: kept in one file, by the prose rules."""

from __future__ import annotations

import pytest

from . import sentences


def test_the_file_of_sentences_is_up_to_date() -> None:
    told = "tests/sentences.txt is out of date; read and commit what changes: python -m tests.sentences"
    assert sentences.FILE.read_text(encoding="utf-8") == sentences.file_text(), told


def test_sentences_keep_the_prose_rules() -> None:
    broken = [
        f"{source}: {', '.join(rules)}: {sentence}"
        for source, found in sentences.collected().items()
        for sentence in found
        if (rules := sentences.broken_rules(sentence))
    ]
    assert broken == []


@pytest.mark.parametrize(
    ("sentence", "broken"),
    [
        ("one accuracy chart a question", []),
        ("a chart a question", ["a chart per question"]),
        ("12.3 s a run, guessed", ["per"]),
        ("a run goes on after its last epoch", ["go on"]),
        ("better than the baseline", ["control"]),
        ("'sgdd' is none of sgd, adam", ["not one of"]),
        ("Runs that already exist are skipped.", []),
        ("read `the base of 3 images a run`", []),
    ],
)
def test_each_rule_is_noticed(sentence: str, broken: list[str]) -> None:
    assert sentences.broken_rules(sentence) == broken
