"""The one sentence of an answer, and the line on an arm at chance."""

from __future__ import annotations

from typing import Any

import pytest

from cifar_lab.analysis.answers import Answer, Comparison
from cifar_lab.analysis.chance import chance_sentence, is_at_chance
from cifar_lab.analysis.data_choice import DataSet
from cifar_lab.analysis.verdict_line import verdict_line
from cifar_lab.analysis.winners import SearchInfo, SearchRunsEntry, SweepControl, Winners
from cifar_lab.config.sheets import Question

from ..report.drawn import comparison, row

CONTROL = row("SGD", 0.50, 0.51, 0.52, is_control=True)
QUESTION = Question(title="Which?", chart="q.png", arms=["a.yaml"])
CIFAR10 = DataSet("cifar10", "0" * 64, 50_000, 10_000, 10, 3)


def line(*entries: tuple[Any, Comparison], **more: Any) -> tuple[str, str]:
    """(sign, sentence) of an answer with these rows and comparisons."""
    rows, found = (tuple(each) for each in zip(*entries, strict=True))
    made = verdict_line(Answer("q", QUESTION, (CONTROL, *rows), comparisons=found, **more))
    return made.mark, made.sentence


def arm(label: str, verdict: str, *gaps: float, **more: Any) -> tuple[Any, Comparison]:
    values = [0.5 + gap / 100 for gap in gaps]
    return row(label, *values), comparison(label, *gaps, verdict=verdict, **more)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([arm("Adam", "better", 10.0, 10.6, 10.3)], ("▲", "Adam is better than SGD by 10.3 pp.")),
        ([arm("flip", "worse", -0.2, -0.22, -0.21)], ("▼", "flip is worse than SGD by 0.21 pp.")),
        ([arm("plateau", "equivalent", 0.0, 0.1, 0.05)], ("≈", "plateau is equivalent to SGD.")),
        (
            [arm("flip", "undecided", -0.2, 0.4, 0.1, seeds_more=6)],
            ("?", "Undecided: flip is 0.10 pp above SGD."),
        ),
        ([arm("Adam", "no verdict", 10.0, 11.0)], ("–", "No verdict yet: Adam (+10.5 pp) has fewer than 3 seeds.")),
        (
            [arm("a", "worse", -8.0, -8.2, -8.1), arm("Adam", "better", 10.0, 10.2, 10.1),
             arm("AdamW", "better", 9.0, 9.2, 9.1)],
            ("▲", "Adam (+10.1 pp) and AdamW (+9.1 pp) are better than SGD; a is worse by 8.1 pp."),
        ),
        (
            [arm("Adam", "better", 10.0, 10.2, 10.1), arm("flip", "undecided", 0.2, 0.4, 0.1),
             arm("gone", "no verdict")],
            ("▲", "Adam is better than SGD by 10.1 pp; flip is undecided; gone has no runs yet."),
        ),
    ],
)  # fmt: skip
def test_an_answer_is_one_sentence_with_the_clear_verdicts_first(entries: Any, said: tuple[str, str]) -> None:
    assert line(*entries) == said


def test_diverged_arms_are_named() -> None:
    lost = row("hot", diverged=((0, "loss is nan"),))
    assert line((lost, comparison("hot"))) == ("–", "hot diverged.")


def test_the_winner_of_a_sweep_is_named_after_its_verdict() -> None:
    """A label of many settings would hide the verdict before it."""
    found = Winners(
        sweep="g", plan_sha256="", fingerprint="", search=SearchInfo(method="grid", seeds=(0,), val_size=50),
        confirm_seeds=(100,), points=2_030, runs=SearchRunsEntry(searched=8, failed=0, diverged=0),
        control=SweepControl(label="c", recipe={}), winners=(),
    )  # fmt: skip
    winner, second = arm("Adam · lr 0.1", "better", 10.0, 10.6, 10.3), arm("b", "better", 9.0, 9.1, 9.2)
    said = "The best of 2,030 points is better than SGD by 10.3 pp: Adam · lr 0.1."
    assert line(winner, second, sweep=found) == ("▲", said)


def test_a_question_without_arms_says_so() -> None:
    made = verdict_line(Answer("q", QUESTION, (CONTROL,), to_sweep="cifar-lab sweep x.yaml"))
    assert made.sentence == "Not swept yet."


def test_an_arm_that_guesses_is_at_chance() -> None:
    guessing, learning = row("dead", 0.1, 0.1), row("alive", 0.11, 0.12)
    assert is_at_chance(guessing, CIFAR10)
    assert not is_at_chance(learning, CIFAR10)  # two standard errors of a guess are 0.6 points
    assert not is_at_chance(row("none"), CIFAR10)
    assert chance_sentence(guessing, CIFAR10).startswith("dead is at chance (10.00 %, and guessing among 10 classes")
