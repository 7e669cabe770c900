"""Groups of a sweep: one answer with the control, and pairs of the other groups that belong to it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cifar_lab.analysis.answers import Answer, pair_answers
from cifar_lab.analysis.lab import Lab
from cifar_lab.analysis.summary import Row
from cifar_lab.analysis.verdict_line import pair_lines
from cifar_lab.analysis.verdicts import judge
from cifar_lab.config.sheets import Question
from cifar_lab.report.json import answers_document
from cifar_lab.report.markdown import csv_page, markdown_page

from ..report.drawn import row


def answers(*means: float) -> list[Answer]:
    """Judged answers of a sweep with a group per mean, each with five seeds."""
    rows = [group(f"group {index}", mean) for index, mean in enumerate(means)]
    rows[0] = replace(rows[0], is_control=True)
    asked = Answer("q1", Question(title="Which group?", sweep="s.yaml", chart="q1.png"), tuple(rows))
    return judge([asked, *pair_answers(asked)], 0.3)[0]


def group(label: str, mean: float) -> Row:
    """Five seeds whose differences to another group vary a little."""
    step = 0.0001 * (len(label) + int(label[-1]))
    return row(label, *(mean + step * ((seed * (1 + int(label[-1]))) % 5) for seed in range(5)), key=label,
               run_ids=tuple(f"{label} {seed}" for seed in range(5)))  # fmt: skip


@pytest.fixture
def lab() -> Lab:
    """A report on four groups."""
    return Lab("A lab", None, (), tuple(answers(0.7, 0.6, 0.6, 0.5)))


def test_a_question_has_one_section_with_one_chart_however_many_groups_it_has(lab: Lab) -> None:
    assert [answer.name for answer in lab.shown] == ["q1"]
    assert [answer.name for answer in lab.pairs_of(lab.answers[0])] == ["q1-2", "q1-3"]
    assert lab.unanswered == ()
    page = markdown_page(lab)
    assert page.count("![") == page.count("](q1.png)") == 1
    assert "The other arms with each other:" in page
    assert "group 3 is worse than group 1 by " in page


def test_all_pairs_are_in_one_family(lab: Lab) -> None:
    assert {found.family for answer in lab.answers for found in answer.comparisons} == {6}
    assert len(csv_page(lab).splitlines()) == 1 + 4 + 3 + 2


def test_pairs_say_which_question_they_belong_to_and_name_no_chart(lab: Lab) -> None:
    found = answers_document(lab)["questions"]
    assert [(each["name"], each["chart"], each.get("pairs_of")) for each in found] == [
        ("q1", "q1.png", None), ("q1-2", None, "q1"), ("q1-3", None, "q1"),
    ]  # fmt: skip


def test_lines_tell_the_decided_pairs_and_count_the_others(lab: Lab) -> None:
    first, second, left = pair_lines(lab.pairs_of(lab.answers[0]))
    assert first.startswith("group 3 is worse than group 1 by ")
    assert second.startswith("group 3 is worse than group 2 by ")
    assert left == "Of the 3 pairs of other arms, 1 has no verdict."


def test_lines_without_any_verdict() -> None:
    _, *others = answers(0.7, 0.6, 0.6004)
    assert list(pair_lines(others)) == ["No verdict on the 1 pair of other arms."]


def test_two_groups_have_no_pairs() -> None:
    assert len(answers(0.7, 0.6)) == 1
