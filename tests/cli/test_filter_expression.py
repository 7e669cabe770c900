"""Expressions of `list --filter`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar_lab.cli.filter_expression import Value, parse_filter
from cifar_lab.core.errors import SettingsError

RUN: dict[str, Value] = {
    "accuracy": 0.61, "seed": 3.0, "label": "Adam lr 0.1", "tag": ("best", "paper"), "finished": "2026-11-27T12:00:00Z",
    "optimizer.lr": "0.01", "runtime.threads": "auto", "validation": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("accuracy>0.6", True),
        ("accuracy > 60%", True),
        ("accuracy<=0.6", False),
        ("accuracy=0.61", True),
        ("accuracy==0.610", True),
        ("seed=3 and not tag=best", False),
        ("seed=4 or tag=paper", True),
        ("tag!=best", False),
        ("tag!=old", True),
        ("not (seed=3 or accuracy>0.9)", False),
        ("seed=4 or seed=3 and accuracy<0.1", False),
        ("(seed=4 or seed=3) and accuracy>0.1", True),
        ("label=Adam*", True),
        ("label=Adam lr 0.1", True),
        ("label='Adam lr 0.1' and seed=3", True),
        ("label=adam*", False),
        ("optimizer.lr=1e-2", True),
        ("optimizer.lr<0.1", True),
        ("runtime.threads<8", False),
        ("runtime.threads=auto", True),
        ("finished>=2026-11-27", True),
        ("finished<2026-11-27", False),
        ("validation>0", False),
        ("not validation>0", True),
        ("validation!=0.5", False),
        ("NOT seed=4 AND accuracy>0", True),
    ],
)
def test_what_an_expression_selects(text: str, expected: bool) -> None:
    assert parse_filter(text).matches(RUN.__getitem__) is expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("accuracy", "found the end, expected one of ="),
        ("accuracy>", "found the end, expected a value"),
        (">0.6", "found '>', expected a field"),
        ("(seed=3", "found the end, expected )"),
        ("accuracy>0.6 seed=3", "found 'seed', expected and, or, or the end"),
        ("accuracy>high", "'high' is not a number"),
        ("", "found the end, expected a field"),
        ("__import__('os').system('x')", "found '(', expected one of ="),
        ("not " * 40 + "seed=3", "more than 30 parentheses"),
        ("(" * 40 + "seed=3", "more than 30 parentheses"),
        ("seed=3 and " * 200 + "seed=3", "words, at most 500"),
        ("label=Adam lr and seed=3", "found 'lr', expected and, or, or the end"),
    ],
)
def test_a_text_that_is_no_expression_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match="--filter") as error:
        parse_filter(text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@given(st.text(alphabet="ab=<>!()'\" .01andortnot*%", max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        found = parse_filter(text)
    except SettingsError:
        return
    assert found.matches(lambda key: 0.5) in (True, False)
    assert all(found.fields())
